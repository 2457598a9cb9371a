"""Updates of Windows through its Windows Update Agent, by their KB.

Proven against a fake of the documented objects only; docs/installers.md says what a first real machine must show.
"""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from forestall.agent.installers.hresult import SUCCEEDED, SUCCEEDED_WITH_ERRORS, meaning, outcome, raised
from forestall.agent.installers.outcome import Outcome
from forestall.agent.inventory.windows import build_of
from forestall.agent.sight import Sight
from forestall.agent.windows import (
    Collection,
    OperationResult,
    Update,
    UpdateAgent,
    UpdateCollection,
    Windows,
)
from forestall.domain.errors import AgentError
from forestall.domain.evidence import Status
from forestall.domain.order import Order
from forestall.domain.windows import Found, Past, Seen, standing

OPEN = "IsInstalled=0 and IsHidden=0"
MISSING, PRESENT = "IsInstalled=0", "IsInstalled=1"
LOOK_LIMIT = timedelta(minutes=10)
SEARCH_LIMIT = timedelta(hours=1)
"""With download."""
INSTALL_LIMIT = timedelta(hours=3)
_MOST = 5_000
"""Things looked at in one collection."""
_INSTALLATION = 1
_Answer = TypeVar("_Answer")
_Each = TypeVar("_Each")


@dataclass(frozen=True, slots=True)
class WindowsUpdates:
    """The updates of one Windows machine."""

    windows: Windows

    def status(self, order: Order, sight: Sight) -> tuple[Status, str]:
        """Ask what is known already, without the network; what cannot be asked is unknown (A2)."""
        release = sight.inventory.release
        if not release:
            return Status.UNKNOWN, f"this Windows does not say whether it is {order.release}"
        if release != order.release:
            return Status.NOT_AFFECTED, f"runs {release}, the update is for {order.release}"
        build = build_of(sight.inventory)
        try:
            seen = _ask(self.windows, lambda agent: _look(agent, order.source, build), LOOK_LIMIT)
        except AgentError as error:
            return Status.UNKNOWN, str(error)
        return standing(order.source, order.version, seen)

    def download(self, order: Order, sight: Sight) -> Outcome:  # noqa: ARG002 - it is searched for anew
        """Search, accept the licence terms, and fetch into Windows' own store."""
        try:
            return _ask(self.windows, lambda agent: _download(agent, _offered(agent, order)), SEARCH_LIMIT)
        except AgentError as error:
            return Outcome(False, str(error))

    def install(self, order: Order, sight: Sight, transcript: Path) -> Outcome:  # noqa: ARG002
        """Install the KB and nothing else; each update's own result goes into the transcript."""
        transcript.unlink(missing_ok=True)
        try:
            return _ask(self.windows, lambda agent: _install(agent, order, transcript), INSTALL_LIMIT)
        except AgentError as error:
            return Outcome(False, str(error))

    def repair(self, transcript: Path) -> Outcome:  # noqa: ARG002
        """Leave it to Windows: what was cut off it finishes or takes back at its next start."""
        return Outcome(True, "nothing to repair")


def _ask(windows: Windows, work: Callable[[UpdateAgent], _Answer], limit: timedelta) -> _Answer:
    """Have one thing done, in a thread of its own: the calls block, and nothing from outside ends them.

    A thread that is late goes on. Until it comes to its end nothing else is asked.

    Raises:
        AgentError: the Windows Update Agent is busy, late, or failed.
    """
    if not windows.turn.acquire(blocking=False):
        raise AgentError(
            "the Windows Update Agent is still busy with what it was asked before: "
            "wait, or restart the service Windows Update (wuauserv) and this one"
        )
    answer = Future[_Answer]()
    threading.Thread(target=_carry, args=(answer, windows, work), name="windows-update", daemon=True).start()
    try:
        return answer.result(limit.total_seconds())
    except TimeoutError:
        raise AgentError(
            f"the Windows Update Agent did not come to an end within {limit}; it is waited for, and then looked at"
        ) from None


def _carry(answer: "Future[_Answer]", windows: Windows, work: Callable[[UpdateAgent], _Answer]) -> None:
    try:
        answer.set_result(_turn(windows, work))
    except Exception as error:  # noqa: BLE001 - raised again where the answer is waited for
        answer.set_exception(error)


def _turn(windows: Windows, work: Callable[[UpdateAgent], _Answer]) -> _Answer:
    """Work in an apartment, and let no exception carry objects out of it: not in its frames, nor as its cause."""
    complaint: Exception
    try:
        with windows.apartment():
            try:
                return work(windows.make())
            except windows.failures as error:
                complaint = AgentError(f"the Windows Update Agent failed with {raised(error)}")
            except (AgentError, OSError) as error:
                complaint = error.with_traceback(None)
        raise complaint
    finally:
        windows.turn.release()


def _look(agent: UpdateAgent, kb: str, build: str) -> Seen:
    missing = _search(agent, kb, MISSING, online=False)
    present = _search(agent, kb, PRESENT, online=False)
    found = tuple(
        Found(each.Identity.RevisionNumber, each.IsInstalled, each.RebootRequired, each.IsHidden)
        for each in (*missing, *present)
    )
    return Seen(build, agent.system.RebootRequired, found, _past(agent, kb))


def _search(agent: UpdateAgent, kb: str, criteria: str, *, online: bool) -> list[Update]:
    """Search for a KB; what a later one replaced is named only where it is installed.

    Raises:
        AgentError: the search itself failed.
    """
    searcher = agent.session.CreateUpdateSearcher()
    searcher.Online = online
    searcher.IncludePotentiallySupersededUpdates = criteria == PRESENT
    result = searcher.Search(criteria)
    if result.ResultCode not in {SUCCEEDED, SUCCEEDED_WITH_ERRORS}:
        raise AgentError(
            f"the search of Windows Update {outcome(result.ResultCode)}: look into its event log"
        )
    number = kb.removeprefix("KB")
    return [each for each in _each(result.Updates) if number in _each(each.KBArticleIDs)]


def _past(agent: UpdateAgent, kb: str) -> Past | None:
    searcher = agent.session.CreateUpdateSearcher()
    count = searcher.GetTotalHistoryCount()
    if count <= 0:  # it would be an error to ask for nothing
        return None
    named = re.compile(rf"\b{re.escape(kb)}\b")
    for entry in _each(searcher.QueryHistory(0, min(count, _MOST))):  # newest first
        if named.search(entry.Title or ""):
            return Past(
                entry.UpdateIdentity.RevisionNumber,
                entry.Operation == _INSTALLATION,
                entry.ResultCode == SUCCEEDED,
            )
    return None


def _offered(agent: UpdateAgent, order: Order) -> list[Update]:
    """Find what would be installed for a KB.

    Raises:
        AgentError: nothing is offered, or something else than was approved.
    """
    updates = _search(agent, order.source, OPEN, online=True)
    if not updates:
        raise AgentError(
            f"Windows Update does not offer {order.source} here: it is installed, replaced by a later one, hidden, "
            "or not approved at the company's update service"
        )
    for each in updates:
        revision = each.Identity.RevisionNumber
        if "." not in order.version and revision < int(order.version):
            raise AgentError(
                f"{order.source} is offered in revision {revision}, and {order.version} was approved"
            )
        behavior = each.InstallationBehavior
        if behavior is not None and behavior.CanRequestUserInput:
            raise AgentError(f"{order.source} may ask questions while it installs: install it by hand")
    return updates


def _download(agent: UpdateAgent, updates: list[Update]) -> Outcome:
    for each in updates:
        if not each.EulaAccepted:
            each.AcceptEula()
    missing = [each for each in updates if not each.IsDownloaded]
    if not missing:
        return Outcome(True, "nothing is to be downloaded")
    downloader = agent.session.CreateUpdateDownloader()
    downloader.Updates = _collection(agent, missing)
    problems, _ = _results(downloader.Download(), missing)
    if problems:
        return Outcome(False, f"the download {problems[0]}")
    return Outcome(True, f"downloaded {len(missing)} update{'s' * (len(missing) != 1)}")


def _install(agent: UpdateAgent, order: Order, transcript: Path) -> Outcome:
    updates = _offered(agent, order)
    fetched = _download(agent, updates)
    if not fetched.done:
        return fetched
    installer = agent.session.CreateUpdateInstaller()
    if installer.IsBusy:
        return Outcome(False, "another installation is in progress on this machine: it is tried again")
    if installer.RebootRequiredBeforeInstallation:
        return Outcome(False, "Windows installs nothing before it was restarted: restart this machine")
    installer.Updates = _collection(agent, updates)
    problems, lines = _results(installer.Install(), updates)
    transcript.write_text("".join(f"{order.source} {line}\n" for line in lines))
    if problems:
        return Outcome(False, f"the installation {problems[0]}")
    return Outcome(True, f"installed {order.source}")


def _results(result: OperationResult, updates: list[Update]) -> tuple[list[str], list[str]]:
    """Read what came of each update: what went wrong, and a line each for the transcript."""
    problems, lines = [], []
    for index, update in enumerate(updates):
        found = result.GetUpdateResult(index)
        said = (
            f"{outcome(found.ResultCode)}, {meaning(found.HResult)}"
            if found.HResult
            else outcome(found.ResultCode)
        )
        lines.append(f"{update.Identity.UpdateID} revision {update.Identity.RevisionNumber}: {said}")
        if found.ResultCode != SUCCEEDED:
            problems.append(said)
    return problems, lines


def _collection(agent: UpdateAgent, updates: list[Update]) -> UpdateCollection:
    made = agent.collection()
    for each in updates:
        made.Add(each)
    return made


def _each(collection: Collection[_Each]) -> Iterator[_Each]:
    for index in range(min(collection.Count, _MOST)):
        yield collection.Item(index)
