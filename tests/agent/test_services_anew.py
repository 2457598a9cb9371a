"""Services started anew in place of the machine (A6): real processes of a real replaced file, a turned clock."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.company import START, Company, order
from agent.rig import Rig
from forestall.agent import journal, question, restarts, state
from forestall.agent.loop import run_pass
from forestall.agent.memory import Agent
from forestall.agent.restarts import Stale
from forestall.domain.asking import Topic
from forestall.domain.order import Restart

SHOWN = """Id=tool.service
ActiveState=active
UnitFileState=enabled
Type=simple
KillMode=control-group
RefuseManualStop=no

Id=gdm.service
ActiveState=active
UnitFileState=enabled
Type=notify
KillMode=control-group
RefuseManualStop=no
"""
RENEW = """#!/bin/sh
echo "$@" >>"$0.calls"
[ -e "$0.fails" ] && echo "Job for tool.service failed." >&2 && exit 1
kill "$(cat "$0.pid")"
"""
COUNTDOWN = timedelta(minutes=30)


@dataclass
class Machine:
    """An agent's machine on which one process runs an old tool; `unit` is the service it belongs to."""

    agent: Agent
    company: Company
    directory: Path
    process: subprocess.Popen[bytes]
    unit: str = "tool.service"

    @property
    def calls(self) -> list[str]:
        """What the services' manager was told."""
        path = self.directory / "renew.calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def restarted(self) -> bool:
        return (self.directory / "restarted").exists()

    @property
    def remembered(self) -> state.State:
        return state.load(self.agent.directory)[0]

    def events(self, event: str) -> list[journal.Entry]:
        return [each for each in journal.tail(self.agent.directory, 200) if each.event == event]

    def wait(self, minutes: int) -> None:
        for _ in range(minutes // 5):
            self.company.clock.advance(minutes=5)
            run_pass(self.agent)


@pytest.fixture
def machine(rig: Rig, company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    program = Path(shutil.which("sleep") or "").read_bytes()
    rig.offer("tool", "1.0", files={"usr/bin/tool": program})
    rig.have("tool")
    rig.offer("tool", "1.1", files={"usr/bin/tool": program})
    company.enrol(rig.directory)
    (tmp_path / "shown").write_text(SHOWN)
    renew = tmp_path / "renew"
    renew.write_text(RENEW)
    renew.chmod(0o755)
    agent = Agent(rig.directory, rig.debian, clock=company.clock)
    agent.restart = ("/usr/bin/touch", str(tmp_path / "restarted"))
    agent.services = (shutil.which("cat") or "", str(tmp_path / "shown"))
    agent.renew = (str(renew), "try-restart", "--")
    with subprocess.Popen([rig.root / "usr/bin/tool", "1000"]) as process:
        renew.with_name("renew.pid").write_text(str(process.pid))
        made = Machine(agent, company, tmp_path, process)

        def scan(_: Path) -> tuple[Stale, ...]:
            ours = (one for one in scan_all(Path("/")) if one.pid == process.pid and process.poll() is None)
            return tuple(replace(one, unit=made.unit) for one in ours)

        scan_all = restarts.scan
        monkeypatch.setattr(restarts, "scan", scan)
        yield made
        process.kill()


def install(machine: Machine, restart: Restart) -> None:
    """Let it be forced at its deadline, two hours from the start."""
    machine.company.orders = [order(restart=restart, force_at=START + timedelta(hours=2))]
    run_pass(machine.agent)
    machine.wait(120)
    assert machine.remembered.held["c-1"].status == "pending_restart"


@pytest.mark.parametrize("restart", [Restart.SERVICES, Restart.DEADLINE])
def test_services_are_started_anew_after_a_countdown_and_the_machine_is_not(
    machine: Machine, restart: Restart
) -> None:
    """A6, P4.2."""
    install(machine, restart)
    asked = question.question_of(machine.remembered, machine.company.clock())
    assert asked is not None
    assert (asked.topic, asked.units) == (Topic.RESTART, ("tool.service",))
    assert asked.counting_to == machine.company.clock() + COUNTDOWN
    machine.wait(25)
    assert machine.calls == []
    machine.wait(5)
    assert machine.calls == ["try-restart -- tool.service"]
    assert machine.company.reports[-1].states[0].status == "fixed"
    assert [each.detail for each in machine.events("services started anew")] == ["tool.service"]
    machine.wait(120)
    assert (machine.restarted, len(machine.calls)) == (False, 1)


def test_where_people_restart_services_are_theirs_too(machine: Machine) -> None:
    install(machine, Restart.PERSON)
    machine.wait(90)
    assert (machine.calls, machine.restarted) == ([], False)


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param("gdm.service", id="the desktop"),
        pytest.param("", id="a person's program"),
        pytest.param("gone.service", id="a service that systemd does not know"),
    ],
)
def test_what_may_not_be_started_anew_waits_for_the_machine(machine: Machine, unit: str) -> None:
    """A6: a person is not thrown out by an order that allows services alone."""
    machine.unit = unit
    install(machine, Restart.SERVICES)
    machine.wait(90)
    assert (machine.calls, machine.restarted) == ([], False)
    assert machine.remembered.person.restart_rule == "people-restart"


def test_a_failure_is_told_once_and_the_machine_is_restarted_after_a_countdown_of_its_own(
    machine: Machine,
) -> None:
    install(machine, Restart.DEADLINE)
    (machine.directory / "renew.fails").touch()
    machine.wait(30)
    (told,) = machine.events("services not started anew")
    assert "Job for tool.service failed." in told.detail
    assert not machine.restarted
    machine.wait(25)
    assert not machine.restarted
    machine.wait(60)
    assert machine.restarted
    assert len(machine.calls) == len(machine.events("services not started anew")) == 1


def test_a_failure_where_only_services_may_be_started_is_left_to_a_person(machine: Machine) -> None:
    install(machine, Restart.SERVICES)
    (machine.directory / "renew.fails").touch()
    machine.wait(150)
    assert (len(machine.calls), machine.restarted) == (1, False)
    assert machine.remembered.person.restart_rule == "people-restart"
    assert machine.company.reports[-1].states[0].detail.startswith("services started anew in vain: ")


def test_a_power_cut_right_before_it_starts_nothing_twice(machine: Machine) -> None:
    """What for is written down before anything is done: here the power goes as the first thing that is done."""
    install(machine, Restart.SERVICES)
    known, copy = machine.agent.directory / "state.json", machine.directory / "then.json"
    cut = machine.directory / "cut"
    cut.write_text(f"#!/bin/sh\ncp '{known}' '{copy}'\nexit 1\n")
    cut.chmod(0o755)
    machine.agent.renew = (str(cut),)
    machine.wait(30)
    then = msgspec.json.decode(copy.read_bytes(), type=state.State)
    assert then.person.renewed_for != []
    known.write_bytes(copy.read_bytes())
    machine.agent.renew = (str(machine.directory / "renew"), "try-restart", "--")
    machine.wait(120)
    assert machine.calls == []


def test_only_the_agent_itself_runs_old_code_then_nothing_is_asked_of_anybody(machine: Machine) -> None:
    """It starts itself anew; until then the update is not in force, and nobody is told to restart for it."""
    machine.unit = "forestall-agent.service"
    install(machine, Restart.DEADLINE)
    machine.wait(120)
    assert (machine.calls, machine.restarted) == ([], False)
    assert question.question_of(machine.remembered, machine.company.clock()) is None
