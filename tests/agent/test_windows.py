"""Updates of Windows, on a made-up machine behind the documented objects; no test here has seen a real one."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.company import START, Company, hint, order
from agent.windows_machine import (
    ABORTED,
    ALL_FAILED,
    BUSY,
    FAILED,
    INSTALLER_FAILED,
    WITH_ERRORS,
    ComError,
    Entry,
    Machine,
    Patch,
    raised,
    signed,
)
from forestall.agent import journal, orders, state
from forestall.agent.installers import hresult, windows
from forestall.agent.installers.outcome import Outcome
from forestall.agent.installers.windows import WindowsUpdates
from forestall.agent.loop import install_chosen, run_pass
from forestall.agent.memory import Agent
from forestall.agent.sight import look
from forestall.agent.windows import Running, windows_at
from forestall.domain.errors import AgentError
from forestall.domain.evidence import Status
from forestall.domain.order import Order

KB, RELEASE, BUILD = "KB5034441", "windows-11-24h2", "10.0.26100.3194"
DEADLINE = START + timedelta(hours=2)


def asked(**changed: object) -> Order:
    fields = {"product": "windows", "release": RELEASE, "source": KB, "version": "200", **changed}
    return orders.order_of(state.Held(order=order(**fields), recipe=None, hint=hint(), held_since=START))


@pytest.fixture
def status(tmp_path: Path) -> Callable[..., tuple[Status, str]]:
    def stands(machine: Machine, **changed: object) -> tuple[Status, str]:
        system = machine.system(tmp_path)
        return WindowsUpdates(system).status(asked(**changed), look(system))

    return stands


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., Outcome]:
    def outcome(machine: Machine, **changed: object) -> Outcome:
        system = machine.system(tmp_path)
        return WindowsUpdates(system).install(asked(**changed), look(system), tmp_path / "log")

    return outcome


# -- how a machine stands -------------------------------------------------------------------------------------

STATUSES = [
    pytest.param(Machine([Patch(KB)]), {}, Status.AFFECTED, "not installed", id="it is offered"),
    pytest.param(Machine([Patch(KB, hidden=True)]), {}, Status.AFFECTED, "hidden", id="it is offered and hidden"),
    pytest.param(Machine([Patch(KB, installed=True)]), {}, Status.FIXED, "revision 200", id="it is installed"),
    pytest.param(
        Machine([Patch(KB, revision=199, installed=True)]), {}, Status.AFFECTED, "older than 200",
        id="it is installed as it was before",
    ),
    pytest.param(Machine([Patch(KB, waiting=True)]), {}, Status.PENDING_RESTART, "restart", id="it waits, A6"),
    pytest.param(Machine([], [Entry(KB)]), {}, Status.FIXED, "history", id="the history has it"),
    pytest.param(
        Machine([], [Entry(KB, operation=2), Entry(KB)]), {}, Status.UNKNOWN, "taken away", id="the newest word counts"
    ),
    pytest.param(Machine([], [Entry(KB, result=FAILED)]), {}, Status.UNKNOWN, "failed", id="the history has a failure"),
    pytest.param(Machine([], [Entry("KB50344410")]), {}, Status.UNKNOWN, "knows nothing", id="a longer KB is another"),
    pytest.param(Machine([], [Entry(KB, title="Update")]), {}, Status.UNKNOWN, "", id="a history without KBs"),
    pytest.param(Machine([Patch("KB9999999")]), {}, Status.UNKNOWN, "knows nothing", id="another KB is offered"),
    pytest.param(
        Machine([Patch(KB, known=False)]), {}, Status.UNKNOWN, "knows nothing", id="no search has brought it yet"
    ),
    pytest.param(
        Machine([Patch(KB), Patch("KB6", supersedes=KB)]), {}, Status.UNKNOWN, "knows nothing",
        id="a later one is offered in its place",
    ),
    pytest.param(
        Machine([Patch(KB, installed=True), Patch("KB6", supersedes=KB)]), {}, Status.FIXED, "revision 200",
        id="it is installed, and a later one is offered",
    ),
    pytest.param(
        Machine([Patch("KB6", installed=True, supersedes=KB)], running=Running(RELEASE, "10.0.26100.4000", "amd64")),
        {"version": BUILD}, Status.FIXED, "10.0.26100.4000", id="a later one is installed in its place, by the build",
    ),
    pytest.param(Machine(), {"version": BUILD}, Status.AFFECTED, "older", id="nothing is offered, the build is old"),
    pytest.param(
        Machine([Patch(KB)]), {"release": "windows-11-23h2"}, Status.NOT_AFFECTED, "runs windows-11-24h2",
        id="the order is for another release",
    ),
    pytest.param(
        Machine([Patch(KB)], running=Running("", "", "amd64")), {}, Status.UNKNOWN, "does not say",
        id="nobody knows the release",
    ),
    pytest.param(Machine([Patch(KB)], search=WITH_ERRORS), {}, Status.AFFECTED, "", id="a search with errors finds it"),
    pytest.param(Machine([], search=WITH_ERRORS), {}, Status.UNKNOWN, "", id="a search with errors finds nothing"),
    pytest.param(Machine([Patch(KB)], search=FAILED), {}, Status.UNKNOWN, "Update failed", id="a search failed"),
    pytest.param(Machine([Patch(KB)], search=ABORTED), {}, Status.UNKNOWN, "aborted", id="a search was aborted"),
    pytest.param(Machine([Patch(KB)], search=77), {}, Status.UNKNOWN, "nobody knows", id="a search ended oddly"),
]  # fmt: skip


@pytest.mark.parametrize(("machine", "changed", "wanted", "said"), STATUSES)
def test_how_a_windows_machine_stands_on_an_order(
    status: Callable[..., tuple[Status, str]],
    machine: Machine,
    changed: dict[str, str],
    wanted: Status,
    said: str,
) -> None:
    """P5.1, A2, A6."""
    found = status(machine, **changed)
    assert found[0] is wanted, found
    assert said in found[1]
    assert not [call for call in machine.calls if "online" in call], "a look costs no network"


MEMBERS = [
    "Session.CreateUpdateSearcher", "Searcher.Search", "Searcher.GetTotalHistoryCount", "Searcher.QueryHistory",
    "SearchResult.ResultCode", "SearchResult.Updates", "Collection.Count", "Collection.Item", "Update.KBArticleIDs",
    "Update.Identity", "Update.IsInstalled", "Update.RebootRequired", "Update.IsHidden", "Identity.RevisionNumber",
    "HistoryEntry.Title", "HistoryEntry.UpdateIdentity", "HistoryEntry.Operation", "HistoryEntry.ResultCode",
    "SystemInformation.RebootRequired",
]  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_that_fails_or_is_not_there_leaves_the_machine_unknown(
    status: Callable[..., tuple[Status, str]], member: str
) -> None:
    """A2: whatever the objects refuse, nobody is called fixed or unconcerned for it."""
    failing = Machine([Patch(KB, installed=True)], [Entry(KB)], raises={member: 0x80070422})
    found = status(failing)
    assert found[0] is Status.UNKNOWN
    assert "0x80070422: the service Windows Update is disabled" in found[1]
    assert status(Machine([Patch(KB, installed=True)], [Entry(KB)], lacks={member}))[0] is Status.UNKNOWN


# -- download and installation --------------------------------------------------------------------------------


def test_a_download_accepts_the_terms_and_installs_nothing(tmp_path: Path) -> None:
    """P5.3."""
    machine = Machine([Patch(KB, accepted=False, known=False), Patch("KB9999999")])
    system = machine.system(tmp_path)
    outcome = WindowsUpdates(system).download(asked(), look(system))
    assert outcome == Outcome(True, "downloaded 1 update")
    assert machine.calls[1:] == [f"search online: {windows.OPEN}", f"accept {KB}", f"download {KB}"]
    assert WindowsUpdates(system).download(asked(), look(system)).detail == "nothing is to be downloaded"
    assert not any(each.installed for each in machine.patches)


def test_an_installation_installs_the_kb_and_nothing_else(
    installed: Callable[..., Outcome], tmp_path: Path
) -> None:
    """P5.4: what else is offered is another campaign's business."""
    machine = Machine([Patch("KB9999999", downloaded=True), Patch(KB, reboot=0)])
    assert installed(machine) == Outcome(True, f"installed {KB}")
    assert [each.installed for each in machine.patches] == [False, True]
    assert (
        tmp_path / "log"
    ).read_text() == f"{KB} 00000000-0000-0000-0000-000005034441 revision 200: succeeded\n"


def test_all_updates_of_a_kb_are_installed_and_the_first_failure_is_told(
    installed: Callable[..., Outcome], tmp_path: Path
) -> None:
    machine = Machine([Patch(KB), Patch(KB, revision=201, install=(FAILED, INSTALLER_FAILED)), Patch(KB)])
    found = installed(machine)
    assert not found.done
    assert found.detail.startswith("the installation failed, 0x8024200B: the installer of the update failed")
    assert [each.installed for each in machine.patches] == [True, False, True]
    assert [line.split(": ")[1] for line in (tmp_path / "log").read_text().splitlines()] == [
        "succeeded", "failed, 0x8024200B", "succeeded",
    ]  # fmt: skip


REFUSALS = [
    pytest.param(Machine(), {}, "does not offer KB5034441 here", id="nothing is offered"),
    pytest.param(Machine([Patch(KB, installed=True)]), {}, "does not offer", id="it is installed"),
    pytest.param(Machine([Patch(KB, hidden=True)]), {}, "does not offer", id="somebody has hidden it"),
    pytest.param(Machine([Patch(KB), Patch("KB6", supersedes=KB)]), {}, "does not offer", id="a later one replaces it"),
    pytest.param(Machine([Patch(KB)]), {"version": "201"}, "201 was approved", id="an older revision is offered"),
    pytest.param(Machine([Patch(KB, asks=True)]), {}, "ask questions", id="it asks questions"),
    pytest.param(Machine([Patch(KB)], busy=True), {}, "in progress on this machine", id="another one installs"),
    pytest.param(Machine([Patch(KB)], restart=True), {}, "before it was restarted", id="a restart must come first"),
    pytest.param(Machine([Patch(KB)], search=FAILED), {}, "search of Windows Update failed", id="the search failed"),
    pytest.param(
        Machine([Patch(KB)], raises={"Searcher.Search": 0x8024402C}), {}, "cannot be resolved", id="no update service"
    ),
    pytest.param(
        Machine([Patch(KB, accepted=False)], raises={"Update.AcceptEula": 0x80070005}), {}, "access was denied",
        id="the terms may not be accepted",
    ),
    pytest.param(
        Machine([Patch(KB, download=(FAILED, 0x80070070))]), {}, "the download failed, 0x80070070: the disk is full",
        id="the disk is full",
    ),
    pytest.param(
        Machine([Patch(KB, download=(WITH_ERRORS, 0))]), {}, "the download succeeded with errors", id="half a download"
    ),
    pytest.param(
        Machine([Patch(KB, install=(WITH_ERRORS, 0))]), {}, "the installation succeeded with errors",
        id="an installation with errors",
    ),
    pytest.param(Machine([Patch(KB, install=(ABORTED, 0))]), {}, "the installation aborted", id="it was aborted"),
    pytest.param(
        Machine([Patch(KB)], raises={"UpdateInstaller.Install": BUSY}), {}, "another installation is in progress, or",
        id="another one began meanwhile",
    ),
    pytest.param(
        Machine([Patch(KB)], raises={"UpdateInstaller.Install": ALL_FAILED}), {}, "none of the updates", id="all failed"
    ),
    pytest.param(
        Machine([Patch(KB)], raises={"OperationResult.GetUpdateResult": 0x80240007}), {}, "Microsoft's list",
        id="a result is not there",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("machine", "changed", "said"), REFUSALS)
def test_what_cannot_be_installed_is_said_to_a_person(
    installed: Callable[..., Outcome], machine: Machine, changed: dict[str, str], said: str
) -> None:
    """R38: a reason and, where there is one, what to do."""
    found = installed(machine, **changed)
    assert not found.done
    assert said in found.detail
    assert "Traceback" not in found.detail


def test_an_update_that_does_not_say_how_it_installs_is_installed(installed: Callable[..., Outcome]) -> None:
    assert installed(Machine([Patch(KB, behaves=False)])).done


ERRORS = [
    pytest.param(
        raised(BUSY), "0x80240016: another installation", id="the object's own number is the inner one"
    ),
    pytest.param(
        ComError(signed(0x80070005), "Access", None, None), "0x80070005: access", id="an outer number alone"
    ),
    pytest.param(ComError(signed(0x80020009), "", None, None), "0x80020009, which", id="no inner number"),
    pytest.param(
        ComError(signed(0x80020009), "", (0, None, None, None, 0, 0), None),
        "0x80020009",
        id="an inner number of 0",
    ),
    pytest.param(ComError(), "no number, but nothing", id="nothing at all"),
    pytest.param(
        AttributeError("<unknown>.RebootRequired"),
        "no number, but <unknown>.Reb",
        id="a member that is not there",
    ),
]


@pytest.mark.parametrize(("error", "said"), ERRORS)
def test_what_an_object_raised_is_read(error: Exception, said: str) -> None:
    assert hresult.raised(error).startswith(said)


# -- one question at a time -----------------------------------------------------------------------------------


def test_a_search_that_never_ends_is_left_alone_and_nothing_else_is_asked_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    machine = Machine([Patch(KB, installed=True)], hold=go_on.wait)
    system = machine.system(tmp_path)
    updates, sight = WindowsUpdates(system), look(system)
    with monkeypatch.context() as patched:
        patched.setattr(windows, "LOOK_LIMIT", timedelta(0))
        late = updates.status(asked(), sight)
    busy, blocked = updates.status(asked(), sight), updates.download(asked(), sight)
    waiting = [each for each in threading.enumerate() if each.name == "windows-update"]
    go_on.set()
    for each in waiting:
        each.join()
    assert late[0] is Status.UNKNOWN
    assert "did not come to an end within" in late[1]
    assert (busy[0], "still busy" in busy[1], blocked.done) == (Status.UNKNOWN, True, False)
    assert machine.calls.count("apartment") == 1
    assert updates.status(asked(), sight)[0] is Status.FIXED


def test_a_question_that_failed_does_not_block_the_next(status: Callable[..., tuple[Status, str]]) -> None:
    machine = Machine([Patch(KB, installed=True)], raises={"Searcher.Search": ALL_FAILED})
    assert status(machine)[0] is Status.UNKNOWN
    machine.raises.clear()
    assert status(machine)[0] is Status.FIXED


# -- the whole agent ------------------------------------------------------------------------------------------


@pytest.fixture
def agent(tmp_path: Path, company: Company) -> Callable[[Machine], Agent]:
    def made(machine: Machine) -> Agent:
        directory = tmp_path / "agent"
        directory.mkdir(mode=0o700)
        company.enrol(directory)
        return Agent(directory, machine.system(tmp_path), clock=company.clock)

    return made


def ordered(company: Company, version: str = BUILD) -> None:
    company.orders = [order(product="windows", release=RELEASE, source=KB, version=version)]


def test_a_signed_order_is_downloaded_ahead_forced_at_its_deadline_and_fixed_by_the_restart(
    agent: Callable[[Machine], Agent], company: Company
) -> None:
    """P5.3, P5.4, A6: affected, then waiting for a restart, then fixed by what the machine itself says."""
    machine = Machine([Patch(KB, accepted=False, known=False, reboot=1, build=BUILD)])
    made = agent(machine)
    ordered(company)
    run_pass(made)
    assert company.reports[-1].states[0].status == "affected"
    assert (f"download {KB}" in machine.calls, f"install {KB}" in machine.calls) == (True, False)
    for minutes in (-5, 1):
        company.clock.now = DEADLINE + timedelta(minutes=minutes)
        run_pass(made)
    said = company.reports[-1].states[0]
    assert (said.status, said.forced, said.attempts) == ("pending_restart", True, 1)
    machine.start_again()
    run_pass(made, ask=True)
    assert company.reports[-1].states[0].status == "fixed"
    assert company.inventories[-1].packages[0].version == BUILD


def test_the_person_picks_the_moment_for_windows_too(
    agent: Callable[[Machine], Agent], company: Company
) -> None:
    """P5.2."""
    made = agent(Machine([Patch(KB)]))
    ordered(company, "200")
    run_pass(made)
    assert [outcome.done for _, outcome in install_chosen(made, "c-1")] == [True]
    assert company.reports[-1].states[0].chosen


def test_an_installation_that_says_it_worked_is_not_believed(
    agent: Callable[[Machine], Agent], company: Company
) -> None:
    """A2: the build decides, and it did not change."""
    made = agent(Machine([Patch(KB)]))
    ordered(company)
    run_pass(made)
    ((_, outcome),) = install_chosen(made, "c-1")
    assert not outcome.done
    assert "installed KB5034441, yet build 10.0.26100.2000 is older" in outcome.detail


def test_a_windows_machine_refuses_what_is_not_for_windows(
    agent: Callable[[Machine], Agent], company: Company
) -> None:
    machine = Machine()
    made = agent(machine)
    company.orders = [order()]
    run_pass(made)
    told = " ".join(entry.detail for entry in journal.tail(made.directory, 100))
    assert "other-product: debian; this machine takes windows" in told
    assert machine.calls == []


def test_elsewhere_there_is_no_windows_update_agent(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="on Windows only"):
        windows_at(tmp_path)
