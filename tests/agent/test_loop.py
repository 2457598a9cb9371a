"""The whole agent against a real server on loopback and a real dpkg root, on a clock that the test turns."""

import hashlib
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.company import START, Company, order
from agent.rig import Rig
from forestall.agent import journal, restarts, state
from forestall.agent.inventory import dpkg
from forestall.agent.loop import install_chosen, run_pass
from forestall.agent.memory import Agent
from forestall.domain.errors import AgentError


@pytest.fixture
def agent(rig: Rig, company: Company) -> Agent:
    """An enrolled agent on a machine that has tool 1.0 where the archive has 1.1."""
    rig.offer("tool", "1.0")
    rig.have("tool")
    rig.offer("tool", "1.1")
    company.enrol(rig.directory)
    return Agent(rig.directory, rig.debian, clock=company.clock)


def held(agent: Agent) -> state.Held:
    return state.load(agent.directory)[0].held["c-1"]


def events(agent: Agent) -> list[str]:
    return [entry.event for entry in journal.tail(agent.directory, 100)]


def test_an_offer_is_downloaded_and_never_installed_before_its_deadline(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """P5.2, P5.3: passes every four hours and right up to the deadline, and nothing is installed."""
    company.orders = [order(force_at=START + timedelta(hours=12))]
    for _ in range(12):
        run_pass(agent)
        assert rig.status_of("tool") == "ii  1.0"
        company.clock.advance(hours=1)
    company.clock.now = START + timedelta(hours=12) - timedelta(microseconds=1)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.0"
    assert held(agent).downloaded
    assert held(agent).rule == "last-minutes"
    assert held(agent).until == START + timedelta(hours=12)
    assert company.reports[-1].states[0].status == "affected"


def test_the_deadline_forces_what_was_offered(agent: Agent, rig: Rig, company: Company) -> None:
    """P5.4."""
    company.orders = [order()]
    run_pass(agent)
    company.clock.advance(hours=1, minutes=50)
    run_pass(agent)
    company.clock.advance(minutes=10)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.1"
    report = company.reports[-1].states[0]
    assert (report.status, report.forced, report.chosen) == ("fixed", True, False)
    assert (report.attempts, report.failures, report.installed_at) == (1, 0, company.clock.now)
    assert events(agent)[-3:] == ["the deadline has passed", "installed by force", "nothing is left to do"]


def test_what_the_person_installs_counts_as_chosen(agent: Agent, rig: Rig, company: Company) -> None:
    """P5.2: the person picks the moment."""
    company.orders = [order()]
    run_pass(agent)
    outcomes = install_chosen(agent, None)
    assert [outcome.done for _, outcome in outcomes] == [True]
    assert rig.status_of("tool") == "ii  1.1"
    report = company.reports[-1].states[0]
    assert (report.status, report.forced, report.chosen) == ("fixed", False, True)
    company.clock.advance(hours=3)
    run_pass(agent)
    assert "installed by force" not in events(agent)


def test_what_the_person_installs_with_apt_counts_as_chosen_too(
    agent: Agent, rig: Rig, company: Company
) -> None:
    company.orders = [order()]
    run_pass(agent)
    rig.apt("install", "-y", "tool")
    run_pass(agent)
    report = company.reports[-1].states[0]
    assert (report.status, report.forced, report.chosen) == ("fixed", False, True)


def test_a_machine_that_had_the_update_before_the_offer_chose_nothing(
    agent: Agent, rig: Rig, company: Company
) -> None:
    rig.apt("install", "-y", "tool")
    company.orders = [order()]
    run_pass(agent)
    report = company.reports[-1].states[0]
    assert (report.status, report.forced, report.chosen) == ("fixed", False, False)


def test_a_machine_away_at_the_deadline_gets_a_countdown_once(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A5: away from before the deadline to three hours after it, then half an hour and no more."""
    company.orders = [order()]
    run_pass(agent)
    company.clock.advance(hours=5)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.0"
    assert held(agent).rule == "back-too-late"
    assert held(agent).until == company.clock.now + timedelta(minutes=30)
    company.clock.advance(minutes=29)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.0"
    company.clock.advance(minutes=1)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.1"


def test_a_recall_just_before_the_deadline_is_heard(agent: Agent, rig: Rig, company: Company) -> None:
    """A7: asked once more right before; the order in hand still said force."""
    company.orders = [order()]
    company.next_check_seconds = 86_400
    run_pass(agent)
    company.clock.advance(hours=1, minutes=50)
    run_pass(agent)
    company.orders = [order(verb="recall")]
    company.clock.advance(minutes=11)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.0"
    assert held(agent).rule == "recalled"


@pytest.fixture
def recalled_meanwhile(agent: Agent, rig: Rig, company: Company) -> Agent:
    """Two orders; the first takes two minutes to install, in which the second is recalled."""
    rig.offer("other", "1.0")
    rig.have("other", "tool=1.0")
    rig.offer("other", "1.1")
    company.orders = [order(), order(campaign="c-2", source="other")]

    def clock() -> datetime:
        if rig.status_of("tool") != "ii  1.1":
            return company.clock()
        if company.orders[1].verb != "recall":
            company.clock.advance(minutes=2)
            company.orders[1] = order(campaign="c-2", source="other", verb="recall")
            company.publish()
        return company.clock()

    return replace(agent, clock=clock)


@pytest.mark.parametrize(
    "silent", [False, True], ids=["the server answers", "only the signed files are served"]
)
def test_a_recall_during_a_long_installation_stops_the_next(
    recalled_meanwhile: Agent, rig: Rig, company: Company, silent: bool
) -> None:
    """A7: what was asked in vain at the beginning of a pass is asked again after a minute."""
    run_pass(recalled_meanwhile)
    company.clock.advance(hours=1, minutes=50)
    run_pass(recalled_meanwhile)
    company.silent = silent
    company.clock.advance(minutes=11)
    run_pass(recalled_meanwhile)
    assert [rig.status_of(name) for name in ("tool", "other")] == ["ii  1.1", "ii  1.0"]


def test_a_recall_during_a_long_installation_stops_what_the_person_chose_with_it(
    recalled_meanwhile: Agent, rig: Rig
) -> None:
    """A7."""
    run_pass(recalled_meanwhile)
    outcomes = install_chosen(recalled_meanwhile, None)
    assert [held.order.campaign for held, _ in outcomes] == ["c-1"]
    assert rig.status_of("other") == "ii  1.0"


def test_right_before_it_forces_an_agent_says_so_and_right_after_it_no_longer_does(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A7: silence in between is an install that went wrong."""
    company.orders = [order()]
    company.next_check_seconds = 86_400
    run_pass(agent)
    company.clock.advance(hours=1, minutes=50)
    run_pass(agent)
    assert not any(report.states and report.states[0].forcing for report in company.reports)
    company.clock.advance(minutes=11)
    run_pass(agent)
    before, after = (report.states[0] for report in company.reports[-2:])
    assert (before.status, before.forcing) == ("affected", True)
    assert (after.status, after.forcing) == ("fixed", False)


def test_an_order_that_the_server_no_longer_lists_is_forgotten(
    agent: Agent, rig: Rig, company: Company
) -> None:
    company.orders = [order()]
    run_pass(agent)
    company.orders = []
    company.clock.advance(hours=5)
    run_pass(agent)
    assert state.load(agent.directory)[0].held == {}
    assert rig.status_of("tool") == "ii  1.0"


def test_an_offline_machine_forces_by_its_last_order_within_a_day(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A11: offline is no way out."""
    company.orders = [order()]
    run_pass(agent)
    company.close()
    company.clock.advance(hours=1, minutes=50)
    run_pass(agent)
    company.clock.advance(minutes=15)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.1"
    with Company(clock=company.clock):
        pass  # the fixture closes a server of its own again


def test_an_offline_machine_never_forces_without_a_recall_check_in_a_day(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A11: nor a trap; an order ends a day after it was signed, and so does what was heard of recalls."""
    company.orders = [order()]
    run_pass(agent)
    company.refuse = (503, {}, b"")
    for _ in range(60):
        company.clock.advance(hours=1)
        if company.clock.now < START + timedelta(hours=2) or company.clock.now > START + timedelta(hours=24):
            run_pass(agent)
    assert rig.status_of("tool") == "ii  1.0"
    assert held(agent).rule == "expired"


def test_a_clock_set_forward_forces_nothing_early(agent: Agent, rig: Rig, company: Company) -> None:
    """R19: the deadline is the server's; the check before the force finds out."""
    company.orders = [order()]
    run_pass(agent)
    agent.clock = lambda: company.clock.now + timedelta(days=400)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.0"
    assert held(agent).rule == "voluntary-period"
    assert abs(state.load(agent.directory)[0].skew_seconds + timedelta(days=400).total_seconds()) < 1


def test_a_failed_forced_install_is_reported_counted_and_tried_again_later(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A4."""
    rig.offer("tool", "1.2", scripts={"postinst": "echo out of luck >&2; exit 1"})
    company.orders = [order(version="1.2")]
    run_pass(agent)
    company.clock.advance(hours=1, minutes=55)
    run_pass(agent)
    for minutes in (6, 60, 420, 60, 420):
        company.clock.advance(minutes=minutes)
        run_pass(agent)
    report = company.reports[-1].states[0]
    assert (report.status, report.attempts, report.failures, report.forced) == ("affected", 3, 3, False)
    assert "tool" in report.detail


def test_an_installation_that_was_cut_off_is_repaired_at_the_next_start(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """R23: the agent died while it installed; the package is not counted as fixed before it is whole."""
    flag = rig.directory / "once"
    rig.offer("tool", "1.2", scripts={"postinst": f"[ -e {flag} ] || {{ touch {flag}; exit 1; }}"})
    company.orders = [order()]
    run_pass(agent)
    with pytest.raises(AssertionError):
        rig.apt("install", "-y", "tool")
    interrupted, _ = state.load(agent.directory)
    interrupted.installing = interrupted.held["c-1"].forced = True
    state.save(agent.directory, interrupted)
    assert rig.status_of("tool") == "iF  1.2"
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.2"
    assert "repair" in events(agent)
    assert not state.load(agent.directory)[0].installing
    said = company.reports[-1].states[0]
    assert (said.status, said.forced, said.chosen) == ("fixed", True, False)  # P3.2: nobody chose it


def test_a_process_that_runs_the_old_code_keeps_the_machine_from_being_fixed(
    rig: Rig, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A6: installed is not effective; here a real process of a real replaced file."""
    program = Path(shutil.which("sleep") or "").read_bytes()
    rig.offer("tool", "1.0", files={"usr/bin/tool": program})
    rig.have("tool")
    rig.offer("tool", "1.1", files={"usr/bin/tool": program})
    company.orders = [order()]
    # The process has the root of this test, not that of the home-made one: nobody without rights may chroot.
    scan = restarts.scan
    monkeypatch.setattr(restarts, "scan", lambda _: scan(Path("/")))
    company.enrol(rig.directory)
    agent = Agent(rig.directory, rig.debian, clock=company.clock)
    with subprocess.Popen([rig.root / "usr/bin/tool", "1000"]) as process:
        run_pass(agent)
        install_chosen(agent, "c-1")
        report = company.reports[-1].states[0]
        assert (report.status, report.chosen) == ("pending_restart", True)
        assert f"tool ({process.pid})" in report.detail
        process.kill()
    run_pass(agent)
    assert company.reports[-1].states[0].status == "fixed"


def test_the_whole_inventory_goes_out_only_when_it_is_new(agent: Agent, rig: Rig, company: Company) -> None:
    for _ in range(3):
        run_pass(agent, ask=True)
    assert len(company.reports) == 3
    assert [report.sequence for report in company.reports] == [1, 2, 3]
    (sent,) = company.inventories
    assert [package.name for package in sent.packages] == ["tool"]
    lines = [
        f"{p.name}\t{p.version}\t{p.architecture}\t{p.state}\t{p.source}\t{p.source_version}"
        for p in sent.packages
    ]
    text = "".join(f"{line}\n" for line in [sent.release, *sorted(lines)])
    assert company.reports[0].inventory_sha256 == hashlib.sha256(text.encode()).hexdigest()
    rig.apt("install", "-y", "tool")
    run_pass(agent)
    assert len(company.inventories) == 2
    assert {speaker.device for speaker in company.speakers} == {"d-1"}


def test_silence_and_retry_after_are_honoured(agent: Agent, company: Company) -> None:
    """R31."""
    agent.spread = lambda: 1.0
    company.refuse = (503, {"Retry-After": "600"}, b'{"title":"Busy","detail":"come later","status":503}')
    found = run_pass(agent)
    assert found.next_check_at == START + timedelta(seconds=900)
    assert "come later" in found.last_problem
    asked = len(company.speakers)
    run_pass(agent)
    assert len(company.speakers) == asked
    company.refuse = None
    company.clock.advance(seconds=901)
    assert run_pass(agent).silent_checks == 0


HOSTILE = [
    pytest.param({"source": "tool -o=Dpkg::x"}, id="a source that is an option"),
    pytest.param({"version": "1.1; reboot"}, id="a version that is a command"),
    pytest.param({"verb": "run"}, id="a verb that nobody knows"),
    pytest.param({"release": "../../etc"}, id="a release that is a path"),
    pytest.param({"force_at": START - timedelta(hours=1)}, id="a deadline before its offer"),
]


@pytest.mark.parametrize("changed", HOSTILE)
def test_an_order_that_makes_no_sense_is_refused_and_the_others_are_obeyed(
    agent: Agent, company: Company, changed: dict[str, object]
) -> None:
    company.orders = [order(campaign="c-2", **changed), order()]
    run_pass(agent)
    assert list(state.load(agent.directory)[0].held) == ["c-1"]
    assert "order refused" in events(agent)


def test_a_damaged_state_is_set_aside_and_told(agent: Agent, company: Company) -> None:
    """R13: no crash, and the identity is not lost with it."""
    company.orders = [order()]
    run_pass(agent)
    (agent.directory / "state.json").write_bytes(b'{"sequence": 3, "held": {"c-1"')
    run_pass(agent)
    assert (agent.directory / "state.json.damaged").exists()
    assert "state set aside" in events(agent)
    assert held(agent).order.campaign == "c-1"


def test_a_root_without_dpkg_is_said_in_a_sentence(rig: Rig, company: Company, tmp_path: Path) -> None:
    shutil.rmtree(rig.debian.admindir)
    with pytest.raises(AgentError, match="is not a Debian root"):
        dpkg.take(rig.debian)


def test_the_state_is_open_to_read_and_the_secret_is_not(agent: Agent, company: Company) -> None:
    run_pass(agent)
    assert (agent.directory / "state.json").stat().st_mode & 0o777 == 0o644
    assert (agent.directory / "identity.pem").stat().st_mode & 0o777 == 0o600
    assert (agent.directory / "identity.json").stat().st_mode & 0o777 == 0o600
    assert b"KEY" not in (agent.directory / "state.json").read_bytes()
