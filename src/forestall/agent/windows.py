"""The Windows machine that the agent serves, and the objects of its Windows Update Agent (wuapi.h).

Only members that are used are named. Collections count from 0. Every access can raise `Windows.failures`.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from forestall.domain.errors import AgentError
from forestall.domain.windows import build_of, release_of

_Each_co = TypeVar("_Each_co", covariant=True)


class Collection(Protocol[_Each_co]):
    """`IUpdateCollection`, `IStringCollection`, `IUpdateHistoryEntryCollection`."""

    Count: int

    def Item(self, index: int) -> _Each_co: ...


class UpdateIdentity(Protocol):
    """`IUpdateIdentity`."""

    UpdateID: str
    RevisionNumber: int


class InstallationBehavior(Protocol):
    """`IInstallationBehavior`."""

    CanRequestUserInput: bool


class Update(Protocol):
    """`IUpdate2`."""

    Identity: UpdateIdentity
    KBArticleIDs: Collection[str]
    """Numbers, without `KB`."""
    IsInstalled: bool
    IsDownloaded: bool
    IsHidden: bool
    RebootRequired: bool
    EulaAccepted: bool
    InstallationBehavior: InstallationBehavior | None

    def AcceptEula(self) -> None: ...


class UpdateCollection(Collection[Update], Protocol):
    """`IUpdateCollection`, of which one can make one's own."""

    def Add(self, value: Update) -> int: ...


class HistoryEntry(Protocol):
    """`IUpdateHistoryEntry`."""

    UpdateIdentity: UpdateIdentity
    Title: str
    Operation: int
    """1 installation, 2 removal."""
    ResultCode: int


class SearchResult(Protocol):
    """`ISearchResult`."""

    ResultCode: int
    Updates: UpdateCollection


class Searcher(Protocol):
    """`IUpdateSearcher`."""

    Online: bool
    IncludePotentiallySupersededUpdates: bool

    def Search(self, criteria: str) -> SearchResult: ...
    def GetTotalHistoryCount(self) -> int: ...
    def QueryHistory(self, start: int, count: int) -> Collection[HistoryEntry]: ...


class UpdateResult(Protocol):
    """`IUpdateDownloadResult` and `IUpdateInstallationResult`."""

    ResultCode: int
    HResult: int


class OperationResult(Protocol):
    """`IDownloadResult` and `IInstallationResult`."""

    def GetUpdateResult(self, index: int) -> UpdateResult: ...


class Downloader(Protocol):
    """`IUpdateDownloader`."""

    Updates: UpdateCollection

    def Download(self) -> OperationResult: ...


class UpdateInstaller(Protocol):
    """`IUpdateInstaller`."""

    Updates: UpdateCollection
    IsBusy: bool
    RebootRequiredBeforeInstallation: bool

    def Install(self) -> OperationResult: ...


class Session(Protocol):
    """`IUpdateSession`."""

    ClientApplicationID: str

    def CreateUpdateSearcher(self) -> Searcher: ...
    def CreateUpdateDownloader(self) -> Downloader: ...
    def CreateUpdateInstaller(self) -> UpdateInstaller: ...


class SystemInformation(Protocol):
    """`ISystemInformation`."""

    RebootRequired: bool


class UpdateAgent(NamedTuple):
    """What one thread made to talk to the Windows Update Agent; no other thread may use it."""

    session: Session
    system: SystemInformation
    collection: Callable[[], UpdateCollection]
    """Makes an empty one."""


class Running(NamedTuple):
    """What runs: `windows-11-24h2`, `10.0.26100.3194`, `amd64`; a release or a build that nobody knows is empty."""

    release: str
    build: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Windows:
    """One Windows machine."""

    path: Path
    running: Callable[[], Running]
    apartment: Callable[[], AbstractContextManager[None]]
    """Prepares the thread that enters it; the objects made in it may not outlive it."""
    make: Callable[[], UpdateAgent]
    failures: tuple[type[Exception], ...]
    """What they raise, with HRESULT, text, information on the exception and argument; or for a member they lack."""
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held while the Windows Update Agent is asked: one question at a time."""

    @property
    def database(self) -> Path:
        """What changes with every installation."""
        return self.path / "Windows/SoftwareDistribution/ReportingEvents.log"


if sys.platform == "win32":
    import platform
    import winreg

    _KEY = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"

    def windows_at(path: Path) -> Windows:
        """Serve the machine this runs on; `path` is the drive that Windows is on.

        Raises:
            AgentError: the extra `windows` is not installed.
        """
        try:
            import pythoncom
            import pywintypes
            import win32com.client
        except ImportError:
            raise AgentError("pywin32 is missing: install Forestall with its extra `windows`") from None

        @contextmanager
        def apartment() -> Iterator[None]:
            pythoncom.CoInitialize()
            try:
                yield
            finally:
                pythoncom.CoUninitialize()

        def make() -> UpdateAgent:
            new = win32com.client.Dispatch
            session = new("Microsoft.Update.Session")
            session.ClientApplicationID = "Forestall"
            system = new("Microsoft.Update.SystemInfo")
            return UpdateAgent(session, system, lambda: new("Microsoft.Update.UpdateColl"))

        return Windows(path, _running, apartment, make, (pywintypes.com_error, AttributeError))

    def _running() -> Running:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _KEY) as key:
            values = {name: _value(key, name) for name in ("ProductName", "DisplayVersion", "ReleaseId")}
            number, revision = _value(key, "CurrentBuildNumber"), _value(key, "UBR")
        display = values["DisplayVersion"] or values["ReleaseId"]
        release = release_of(values["ProductName"], display, number)
        return Running(release, build_of(number, revision), platform.machine().lower())

    def _value(key: winreg.HKEYType, name: str) -> str:
        try:
            return str(winreg.QueryValueEx(key, name)[0])
        except OSError:  # older ones lack some
            return ""

else:

    def windows_at(path: Path) -> Windows:
        """Refuse: this is another system."""
        raise AgentError(f"{path}: the Windows Update Agent is on Windows only")
