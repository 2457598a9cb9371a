"""A hostile server, mirror or clock, and a real agent on a real dpkg root: nothing is installed that was not signed."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from laboratory.forger import Shelf, served
from laboratory.office import Office, approval_for, declaration_for, paper_of

from agent.company import START, TOKEN, Company, hint, order
from agent.rig import Rig
from forestall.agent import journal, state, trust
from forestall.agent.loop import run_pass
from forestall.agent.memory import Agent
from forestall.domain.errors import AgentError
from forestall.trust.metadata import fingerprint

DEADLINE = START + timedelta(hours=2)


@pytest.fixture
def agent(rig: Rig, company: Company) -> Agent:
    rig.offer("tool", "1.0")
    rig.have("tool")
    rig.offer("tool", "1.1")
    company.enrol(rig.directory)
    return Agent(rig.directory, rig.debian, clock=company.clock)


def pass_at_deadline(agent: Agent, company: Company) -> None:
    """Let the machine be awake until the deadline, and past it."""
    company.clock.now = DEADLINE - timedelta(minutes=5)
    run_pass(agent)
    company.clock.now = DEADLINE + timedelta(minutes=1)
    run_pass(agent)


def refused(agent: Agent) -> str:
    entries = journal.tail(agent.directory, 100)
    return " ".join(f"{entry.event}: {entry.detail}" for entry in entries if "refused" in entry.event)


def held(agent: Agent) -> dict[str, state.Held]:
    return state.load(agent.directory)[0].held


def test_a_server_cannot_name_an_order_that_is_not_signed(agent: Agent, rig: Rig, company: Company) -> None:
    """A10: its word alone is nothing."""
    company.orders = [order()]
    company.publish()
    company.publish = lambda: None
    company.orders = [order(), order(campaign="evil-1")]
    pass_at_deadline(agent, company)
    assert list(held(agent)) == ["c-1"]
    assert "'evil-1' refused: not-named" in refused(agent)


def test_an_order_without_an_approval_is_refused(agent: Agent, rig: Rig, company: Company) -> None:
    """R2: all online keys do not make an update approved."""
    company.office.sign([paper_of(order())], [], START)
    company.publish = lambda: None
    company.orders = [order()]
    pass_at_deadline(agent, company)
    assert rig.status_of("tool") == "ii  1.0"
    assert "not-approved" in refused(agent)


HINTS = [
    pytest.param({"force_at": START - timedelta(days=400)}, "ii  1.0", id="a hint that hastens does nothing"),
    pytest.param({"force_at": DEADLINE + timedelta(hours=1)}, "ii  1.0", id="a hint that delays is heard"),
]


@pytest.mark.parametrize(("said", "status"), HINTS)
def test_what_the_server_says_beside_the_order(
    agent: Agent, rig: Rig, company: Company, said: dict[str, object], status: str
) -> None:
    company.orders, company.hints = [order()], {"c-1": hint(**said)}
    early = said["force_at"] < START
    company.clock.now = DEADLINE - timedelta(minutes=5)
    run_pass(agent)
    company.clock.now = DEADLINE + timedelta(minutes=-1 if early else 1)
    run_pass(agent)
    assert rig.status_of("tool") == status


def test_a_server_with_its_clock_far_ahead_forces_nothing(agent: Agent, rig: Rig, company: Company) -> None:
    """R5, R19: the machine's own clock says that the deadline has not come."""
    company.orders = [order()]
    run_pass(agent)
    agent.clock = lambda: START + timedelta(minutes=1)
    company.clock.now = START + timedelta(hours=3)
    run_pass(agent, ask=True)
    assert rig.status_of("tool") == "ii  1.0"
    assert held(agent)["c-1"].rule == "voluntary-period"
    assert "behind the server's: set it right" in state.load(agent.directory)[0].last_problem


def test_an_imminent_threat_that_two_people_signed_forces_at_once(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """P8.2: no new order and no word of the server is needed."""
    company.orders = [order()]
    run_pass(agent)
    company.publish = lambda: None
    paper = paper_of(order())
    now = START + timedelta(minutes=5)
    company.clock.now = now
    company.office.sign([paper], [approval_for(paper)], now, [declaration_for(paper, now)])
    run_pass(agent, ask=True)
    assert rig.status_of("tool") == "ii  1.1"


def test_refused_files_leave_the_machine_with_its_last_valid_order(
    agent: Agent, rig: Rig, company: Company
) -> None:
    company.orders = [order()]
    run_pass(agent)
    company.publish = lambda: None
    newest = company.office.repository.directory / "metadata/timestamp.json"
    newest.write_bytes(newest.read_bytes().replace(b"2026", b"2036"))
    pass_at_deadline(agent, company)
    assert rig.status_of("tool") == "ii  1.1"
    assert "unsigned" in refused(agent)


def test_a_recall_reaches_a_machine_whose_server_is_dead(agent: Agent, rig: Rig, company: Company) -> None:
    """R9: a mirror still serves what was signed last."""
    company.orders = [order()]
    run_pass(agent)
    company.office.sign([], [], START + timedelta(hours=1))
    with served(Shelf(company.office.repository.directory)) as mirror:
        trust.keep_mirror(agent.directory, mirror.url)
        company.refuse = (503, {}, b"")
        pass_at_deadline(agent, company)
    assert rig.status_of("tool") == "ii  1.0"
    assert held(agent) == {}


def test_a_hostile_mirror_costs_one_fall_back_and_is_recorded(
    agent: Agent, rig: Rig, company: Company, tmp_path: Path
) -> None:
    """R20."""
    other = Office(tmp_path / "other", START)
    company.orders = [order()]
    with served(Shelf(other.repository.directory)) as mirror:
        trust.keep_mirror(agent.directory, mirror.url)
        pass_at_deadline(agent, company)
    assert rig.status_of("tool") == "ii  1.1"
    assert "unsigned" in refused(agent)
    assert mirror.url in refused(agent)


def test_an_older_revision_does_not_replace_a_newer_one(agent: Agent, company: Company) -> None:
    company.orders = [order(revision=2, version="1.1")]
    run_pass(agent)
    company.orders = [order(revision=1, version="1.0.5")]
    company.clock.advance(hours=1)
    run_pass(agent, ask=True)
    assert held(agent)["c-1"].order.version == "1.1"
    assert "old-revision" in refused(agent)


def test_a_machine_without_a_root_obeys_nobody(rig: Rig, company: Company) -> None:
    company.enrol(rig.directory)
    (rig.directory / "trust-root.json").unlink()
    agent = Agent(rig.directory, rig.debian, clock=company.clock)
    with pytest.raises(AgentError, match="without it no order is obeyed"):
        run_pass(agent)


@pytest.mark.parametrize("right", [True, False])
def test_enrolment_compares_the_root_with_its_fingerprint(
    company: Company, tmp_path: Path, right: bool
) -> None:
    told = fingerprint(company.office.root) if right else "0" * 64
    options = ("--server", company.url, "--token", TOKEN, "--name", "pc", "--state", str(tmp_path / "a"))
    done = subprocess.run(
        [Path(sys.executable).parent / "forestall-agent", "enrol", *options, "--fingerprint", told, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "a/identity.json").exists() is right
    if right:
        assert json.loads(done.stdout)["root"] == told
    else:
        assert "somebody stands between" in done.stderr
