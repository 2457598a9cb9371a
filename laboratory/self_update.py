"""The agent updates itself through a real server's campaigns: a good one stays, a broken one is left again."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from forestall.agent import archive, packing, slots
from forestall.agent.archive import About
from forestall.clock import stopwatch, utc_now
from forestall.domain.remediation import RemediationId
from forestall.domain.slot import BASE, STARTS, Slots
from forestall.trust.payloads import payload_of
from forestall.trust.recipe import PayloadMessage, RecipeFile, UpdateAgentMessage
from laboratory import host
from laboratory.drive import agent, await_shown, expect
from laboratory.server import Server, start_server
from laboratory.site import Machine, Site, open_site, until
from laboratory.timeline import Timeline

_VOLUNTARY = "40s"
_MANAGER = """
import signal, subprocess, sys, threading
child, over = None, threading.Event()
def end(*_):
    over.set()
    child and child.terminate()
signal.signal(signal.SIGTERM, end)
while not over.is_set():
    child = subprocess.Popen(sys.argv[1:])
    print("ended with", child.wait(), flush=True)
    over.wait(1)
"""
"""Starts a service again whenever it ends, as a service manager does (`Restart=always`)."""
_CRASHES = {"forestall/agent/loop.py": b"raise SystemError('this agent was made to crash')\n"}


@dataclass(frozen=True, slots=True)
class Staff:
    """The server and its two machines: the one that tests, and everybody else."""

    site: Site
    server: Server
    first: Machine
    second: Machine

    def slot(self, machine: Machine) -> Slots:
        """Read which agents a machine has."""
        return slots.load(machine.root / "var/lib/forestall-agent")


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Roll out a good agent to two machines, then a broken one to the one that tests.

    Raises:
        LabError: something did not go as it should.
    """
    site = open_site(directory, timeline)
    try:
        server = start_server(site)
        staff = Staff(site, server, site.new_machine("first"), site.new_machine("second"))
        for machine in (staff.first, staff.second):
            _join(staff, machine)
        timeline.tell("two machines are enrolled; the agent that came along runs on both")
        good = _good(staff, timeline)
        _broken(staff, good, timeline)
    finally:
        site.close()


def _join(staff: Staff, machine: Machine) -> None:
    made = staff.server.ask("enroll", "token", "--site", "lab", "--uses", "1")
    known = ("--token", made["token"], "--fingerprint", made["fingerprint"])
    host.run(*machine.agent("enrol", "--server", staff.server.agents, *known))
    service = machine.agent("run")
    enter, command = service[: len(machine.port.enter)], service[len(machine.port.enter) :]
    staff.site.start(f"agent-{machine.name}", *enter, sys.executable, "-c", _MANAGER, *command)
    state = machine.root / "var/lib/forestall-agent/state.json"
    until("it has checked in", lambda: state.exists() and '"checked_at": null' not in state.read_text())


def _good(staff: Staff, timeline: Timeline) -> str:
    campaign, slot = _rolled_out(staff, "0.2.0", {}, timeline)
    _offered(staff.first, campaign)
    began = stopwatch()
    agent(staff.first, "install", campaign)
    until("the new agent is in force", lambda: staff.slot(staff.first).current == slot, 60)
    seconds = stopwatch() - began
    timeline.tell(f"0.2.0 on first, as its person asked: in force {seconds:.1f} s later")
    shown = await_shown(staff.server, campaign, {"fixed": 2, "voluntary": 1, "forced": 1}, 240)
    expect("everybody runs it", staff.slot(staff.second).current, slot)
    expect("the way back is kept", staff.slot(staff.second).previous, BASE)
    timeline.tell(f"0.2.0 on second by force at the deadline; the server counts {shown['fixed']} fixed")
    timeline.figures["seconds_to_in_force"] = round(seconds, 1)
    return slot


def _broken(staff: Staff, good: str, timeline: Timeline) -> None:
    staff.server.ask("rings", "add", "team", "first", "--by", "tester")
    campaign, slot = _rolled_out(staff, "0.3.0", _CRASHES, timeline, "--rings")
    _offered(staff.first, campaign)
    began = stopwatch()
    said = agent(staff.first, "install", campaign)
    expect("it is in its slot", [each["done"] for each in said["installed"]], [True])
    until("the broken agent was tried", lambda: staff.slot(staff.first).starts > 0, 60)
    timeline.tell("0.3.0 is started on first, and crashes")
    until("first has fallen back", lambda: slot in staff.slot(staff.first).failed, 120)
    seconds = stopwatch() - began
    expect("the good one is in force as ever", staff.slot(staff.first).current, good)
    timeline.tell(f"started {STARTS} times in vain: left for good {seconds:.1f} s after its installation")
    until("the server hears of it", partial(_held, staff, campaign), 120)
    test = staff.server.ask("rings", "test", campaign)
    (tester,) = staff.server.ask("rings", "testers", campaign, "--ring", "team")
    seconds = stopwatch() - began
    ring = test["judgement"]["rule"]["name"]
    timeline.tell(
        f"the server: first is “{tester['verdict']}” ({tester['rule']}), its ring “{ring}”, "
        f"{seconds:.1f} s after the installation"
    )
    (order,) = [each for each in agent(staff.first, "status")["orders"] if each["campaign"] == campaign]
    timeline.tell(f"first says: {order['status']}, {order['detail']}")
    expect("second was never asked", staff.slot(staff.second).failed, {})
    expect("second runs the good one", staff.slot(staff.second).current, good)
    timeline.figures["seconds_to_held"] = round(seconds, 1)


def _held(staff: Staff, campaign: str) -> bool:
    testers = staff.server.ask("rings", "testers", campaign, "--ring", "team")
    return [each["verdict"] for each in testers] == ["broke"]


def _offered(machine: Machine, campaign: str) -> None:
    def knows() -> bool:
        orders = agent(machine, "check")["orders"]
        return any(each["campaign"] == campaign and each["status"] == "affected" for each in orders)

    until(f"{machine.name} is offered it", knows, 60)


def _rolled_out(
    staff: Staff, version: str, changed: Mapping[str, bytes], timeline: Timeline, *more: str
) -> tuple[str, str]:
    """Make an agent, have it approved, start its campaign; give campaign and slot."""
    place = staff.site.directory / f"forestall-agent-{version}.zip"
    archive.write(place, About(version, slots.platform()), {**packing.files_here(version), **changed})
    payload, update = payload_of(place), RemediationId(f"any/forestall-agent/{version}")
    message = UpdateAgentMessage(PayloadMessage(payload.sha256, payload.length), slots.platform())
    recipe = place.with_suffix(".recipe.json")
    recipe.write_bytes(msgspec.json.encode(RecipeFile(update, f"Agent {version}", utc_now(), message)))
    ask = staff.server.ask
    ask("advisory", "pull", str(recipe))
    ask("rate", update, "--escalation", "--reason", "the agent is root", "--by", "rater")
    papers = ("--recipe", str(recipe), "--payload", str(place))
    ask("keys", "approve", update, *papers, "--voluntary", _VOLUNTARY, "--by", "tester")
    made = ask("campaign", "start", update, "--voluntary", _VOLUNTARY, *more, "--by", "distributor")
    timeline.tell(f"{update}: {payload.length >> 10} KiB, signed by two, campaign {made['campaign']}")
    return str(made["campaign"]), payload.sha256
