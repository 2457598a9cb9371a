"""A made-up Windows machine behind the documented objects of the Windows Update Agent (wuapi.h, MS-UAMG).

What the documents say, it does: collections count from 0 and refuse other indexes, criteria are read by their grammar,
an object is for the thread that made it and must be gone before its apartment, what fails raises as pywin32 raises it.
Where the documents are silent, it guesses, and docs/installers.md says what a real machine must show.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakSet

from forestall.agent.windows import Running, UpdateAgent, Windows

BUSY, ALL_FAILED, INSTALLER_FAILED = 0x80240016, 0x80240022, 0x8024200B
NO_UPDATE, BAD_CRITERIA, BAD_INDEX = 0x80240024, 0x80240032, 0x80240007
DECLINED, NOT_DOWNLOADED, WRONG_THREAD = 0x80240023, 0x80246007, 0x8001010E
RUNNING = Running("windows-11-24h2", "10.0.26100.2000", "amd64")
SUCCEEDED, WITH_ERRORS, FAILED, ABORTED = 2, 3, 4, 5
_CRITERION = re.compile(r"(IsInstalled|IsHidden|RebootRequired) ?= ?([01])")


class ComError(Exception):
    """As `pywintypes.com_error`: HRESULT, text, information on the exception, argument."""


def signed(hresult: int) -> int:
    return hresult - 2**32


def raised(hresult: int) -> ComError:
    """What an object's own failure looks like: the outer number only says that there is an inner one."""
    inner = (0, None, None, None, 0, signed(hresult))
    return ComError(signed(0x80020009), "Exception occurred.", inner, None)


@dataclass
class Patch:
    """What the update service knows of one update, and how the machine stands to it."""

    kb: str
    revision: int = 200
    installed: bool = False
    downloaded: bool = False
    hidden: bool = False
    accepted: bool = True
    asks: bool = False
    """Whether it may ask a person something."""
    reboot: int = 0
    """InstallationRebootBehavior: 0 never, 1 always."""
    build: str = ""
    """What the machine runs afterwards."""
    supersedes: str = ""
    known: bool = True
    """Whether a search of the network has brought it to this machine."""
    waiting: bool = False
    download: tuple[int, int] = (SUCCEEDED, 0)
    install: tuple[int, int] = (SUCCEEDED, 0)
    """ResultCode and HRESULT."""
    behaves: bool = True
    """Whether it says how it installs; some do not."""

    @property
    def id(self) -> str:
        return f"00000000-0000-0000-0000-00000{self.kb.removeprefix('KB')}"


@dataclass
class Entry:
    """A line of the history."""

    kb: str
    revision: int = 200
    operation: int = 1
    result: int = SUCCEEDED
    title: str = "2024-01 Security Update ({})"


@dataclass
class Machine:
    """A machine that a test tells how to be."""

    patches: list[Patch] = field(default_factory=list)
    history: list[Entry] = field(default_factory=list)
    """Newest first."""
    running: Running = RUNNING
    restart: bool = False
    busy: bool = False
    search: int = SUCCEEDED
    raises: dict[str, int] = field(default_factory=dict)
    """HRESULTs by member: `Searcher.Search`."""
    lacks: set[str] = field(default_factory=set)
    """Members that this Windows is too old for."""
    calls: list[str] = field(default_factory=list)
    objects: "WeakSet[ComObject]" = field(default_factory=WeakSet)
    hold: Callable[[], object] = lambda: None
    """Called in each search."""

    def system(self, path: Path) -> Windows:
        return Windows(path, lambda: self.running, self.apartment, self.make, (ComError, AttributeError))

    @contextmanager
    def apartment(self) -> Iterator[None]:
        self.calls.append("apartment")
        yield
        assert not [each for each in self.objects if each._thread == threading.get_ident()], "left behind"

    def make(self) -> UpdateAgent:
        return UpdateAgent(Session(self), SystemInformation(self), lambda: Collection(self, []))

    def start_again(self) -> None:
        """Restart."""
        self.restart = False
        for patch in self.patches:
            if patch.waiting:
                patch.waiting, patch.installed = False, True
                self.running = self.running._replace(build=patch.build or self.running.build)


class ComObject:
    """An object of one thread; its members begin with a capital."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._thread = machine, threading.get_ident()
        machine.objects.add(self)

    def __getattribute__(self, name: str) -> object:
        if name[0].isupper():
            machine, member = self._machine, f"{type(self).__name__}.{name}"
            if self._thread != threading.get_ident():
                raise ComError(signed(WRONG_THREAD), "marshalled for another thread", None, None)
            if member in machine.lacks:
                raise AttributeError(f"<unknown>.{name}")
            if member in machine.raises:
                raise raised(machine.raises[member])
        return super().__getattribute__(name)


class Collection(ComObject):
    def __init__(self, machine: Machine, items: list) -> None:
        super().__init__(machine)
        self._items = items

    @property
    def Count(self) -> int:
        return len(self._items)

    def Item(self, index: int) -> object:
        if not 0 <= index < len(self._items):
            raise raised(BAD_INDEX)
        return self._items[index]

    def Add(self, value: object) -> int:
        self._items.append(value)
        return len(self._items) - 1


class Identity(ComObject):
    def __init__(self, machine: Machine, name: str, revision: int) -> None:
        super().__init__(machine)
        self.UpdateID, self.RevisionNumber = name, revision


class Behavior(ComObject):
    def __init__(self, machine: Machine, patch: Patch) -> None:
        super().__init__(machine)
        self.CanRequestUserInput, self.RebootBehavior = patch.asks, patch.reboot


class Update(ComObject):
    def __init__(self, machine: Machine, patch: Patch) -> None:
        super().__init__(machine)
        self.patch = patch

    @property
    def Identity(self) -> Identity:
        return Identity(self._machine, self.patch.id, self.patch.revision)

    @property
    def KBArticleIDs(self) -> Collection:
        return Collection(self._machine, [self.patch.kb.removeprefix("KB")])

    @property
    def InstallationBehavior(self) -> Behavior | None:
        return Behavior(self._machine, self.patch) if self.patch.behaves else None

    IsInstalled = property(lambda self: self.patch.installed)
    IsDownloaded = property(lambda self: self.patch.downloaded)
    IsHidden = property(lambda self: self.patch.hidden)
    RebootRequired = property(lambda self: self.patch.waiting)
    EulaAccepted = property(lambda self: self.patch.accepted)

    def AcceptEula(self) -> None:
        self._machine.calls.append(f"accept {self.patch.kb}")
        self.patch.accepted = True


class HistoryEntry(ComObject):
    def __init__(self, machine: Machine, entry: Entry) -> None:
        super().__init__(machine)
        self.UpdateIdentity = Identity(machine, entry.kb, entry.revision)
        self.Title, self.Operation = entry.title.format(entry.kb), entry.operation
        self.ResultCode = entry.result


class SearchResult(ComObject):
    def __init__(self, machine: Machine, found: list[Patch]) -> None:
        super().__init__(machine)
        self.ResultCode = machine.search
        self.Updates = Collection(machine, [Update(machine, patch) for patch in found])


class Searcher(ComObject):
    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.Online, self.IncludePotentiallySupersededUpdates = True, False

    def Search(self, criteria: str) -> SearchResult:
        machine = self._machine
        machine.calls.append(f"search {'online' if self.Online else 'offline'}: {criteria}")
        machine.hold()
        wanted = {}
        for part in criteria.split(" and "):
            criterion = _CRITERION.fullmatch(part)
            if criterion is None:
                raise raised(BAD_CRITERIA)
            wanted[criterion[1]] = criterion[2] == "1"
        for patch in machine.patches:
            patch.known |= self.Online
        replaced = {patch.supersedes for patch in machine.patches if patch.known}
        if self.IncludePotentiallySupersededUpdates:
            replaced = set()
        names = {"IsInstalled": "installed", "IsHidden": "hidden", "RebootRequired": "waiting"}
        return SearchResult(
            machine,
            [
                patch
                for patch in machine.patches
                if patch.known
                and patch.kb not in replaced
                and all(getattr(patch, names[name]) is value for name, value in wanted.items())
            ],
        )

    def GetTotalHistoryCount(self) -> int:
        return len(self._machine.history)

    def QueryHistory(self, start: int, count: int) -> Collection:
        if start < 0 or count <= 0:
            raise raised(BAD_INDEX)
        chosen = self._machine.history[start : start + count]
        return Collection(self._machine, [HistoryEntry(self._machine, entry) for entry in chosen])


class UpdateResult(ComObject):
    def __init__(self, machine: Machine, code: int, hresult: int) -> None:
        super().__init__(machine)
        self.ResultCode, self.HResult = code, signed(hresult) if hresult else 0


class OperationResult(ComObject):
    def __init__(self, machine: Machine, results: list[tuple[int, int]]) -> None:
        super().__init__(machine)
        self._results = results

    def GetUpdateResult(self, index: int) -> UpdateResult:
        if not 0 <= index < len(self._results):
            raise raised(BAD_INDEX)
        return UpdateResult(self._machine, *self._results[index])


class Downloader(ComObject):
    Updates: Collection | None = None

    def Download(self) -> OperationResult:
        if self.Updates is None or self.Updates.Count == 0:
            raise raised(NO_UPDATE)
        return OperationResult(self._machine, [self._one(update.patch) for update in self.Updates._items])

    def _one(self, patch: Patch) -> tuple[int, int]:
        self._machine.calls.append(f"download {patch.kb}")
        if not patch.accepted:
            return FAILED, DECLINED
        patch.downloaded = patch.download[0] == SUCCEEDED
        return patch.download


class UpdateInstaller(ComObject):
    Updates: Collection | None = None
    IsBusy = property(lambda self: self._machine.busy)
    RebootRequiredBeforeInstallation = property(lambda self: self._machine.restart)

    def Install(self) -> OperationResult:
        machine = self._machine
        if machine.busy or machine.restart:
            raise raised(BUSY)
        if self.Updates is None or self.Updates.Count == 0:
            raise raised(NO_UPDATE)
        return OperationResult(machine, [self._one(update.patch) for update in self.Updates._items])

    def _one(self, patch: Patch) -> tuple[int, int]:
        machine = self._machine
        machine.calls.append(f"install {patch.kb}")
        if not patch.downloaded:
            return FAILED, NOT_DOWNLOADED
        machine.history.insert(0, Entry(patch.kb, patch.revision, 1, patch.install[0]))
        if patch.install[0] == SUCCEEDED:
            patch.waiting = patch.reboot == 1
            patch.installed = not patch.waiting
            machine.restart |= patch.waiting
        return patch.install


class Session(ComObject):
    ClientApplicationID = ""

    def CreateUpdateSearcher(self) -> Searcher:
        return Searcher(self._machine)

    def CreateUpdateDownloader(self) -> Downloader:
        return Downloader(self._machine)

    def CreateUpdateInstaller(self) -> UpdateInstaller:
        return UpdateInstaller(self._machine)


class SystemInformation(ComObject):
    RebootRequired = property(lambda self: self._machine.restart)
