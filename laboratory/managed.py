"""Twenty machines with agents live through a campaign, and through one that is recalled with the server dead."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from forestall.clock import stopwatch, utc_now
from forestall.domain.order import CampaignId
from forestall.trust.repository import Repository
from forestall.trust.roles import Role, order_path
from laboratory import content
from laboratory.content import Pending
from laboratory.drive import agent, await_shown, begin, expect, join, start_agent
from laboratory.host import LabError
from laboratory.mirror import Mirror, start_mirror
from laboratory.power_cut import dpkgs
from laboratory.server import Server, start_server
from laboratory.site import Machine, Site, open_site, until
from laboratory.timeline import Timeline

_VOLUNTARY = "120s"
_POLICY = """
canary_machines = 5
waves = [0.25, 0.5, 0.75, 1.0]
bakes = ["20s", "20s", "20s"]
imminent_bakes = ["20s", "20s", "20s"]
"""
"""Waves that a laboratory can wait for."""
_LAST_WAVE = 60.0
_RECALL_WITHIN = 60.0
"""Seconds from a recall to the last installation that begins (A7)."""
_BROKEN_HOOK = 'DPkg::Pre-Invoke {"/bin/false";};\n'


@dataclass(slots=True)
class Staff:
    """The machines by what their people do."""

    volunteers: list[Machine]
    ignorers: list[Machine]
    away: list[Machine]
    failing: Machine
    cut: Machine
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def everybody(self) -> list[Machine]:
        """All twenty."""
        return [*self.volunteers, *self.ignorers, *self.away, self.failing, self.cut]


def tell_story(directory: Path, timeline: Timeline) -> None:
    """Live through both campaigns.

    Raises:
        LabError: something did not go as PROCESS.md says.
    """
    site = open_site(directory, timeline)
    try:
        _write_settings(site.directory / "server")
        server = start_server(site)
        mirror = start_mirror(site, server.data / "trust" / "repository")
        timeline.tell(f"server at {server.agents}, nginx with packages and signed files before it")
        staff = _hire(site, server, mirror)
        timeline.tell(f"{len(staff.everybody)} machines are enrolled and know the mirror")
        first = content.choose(site.pending)
        _patched(site, server, mirror, staff, first, timeline)
        other = next(one for one in site.pending if one.source != first.source)
        _recalled(site, server, staff, other, timeline)
    finally:
        site.close()


def _write_settings(data: Path) -> None:
    data.mkdir()
    (data / "policy.toml").write_text(_POLICY)
    (data / "forestall.toml").write_text('policy = "policy.toml"\n')


def _hire(site: Site, server: Server, mirror: Mirror) -> Staff:
    machines = [site.new_machine(f"m{number:02}") for number in range(20)]
    for machine in machines:
        content.point_at_store(machine.root, site.public_key, mirror.packages)
    with ThreadPoolExecutor(4) as people:
        joined = people.map(lambda machine: join(site, server, machine, "--mirror", mirror.trust), machines)
        agents = dict(zip((machine.name for machine in machines), joined, strict=True))
    return Staff(machines[:6], machines[6:16], machines[16:18], machines[18], machines[19], agents)


def _patched(
    site: Site, server: Server, mirror: Mirror, staff: Staff, update: Pending, timeline: Timeline
) -> None:
    campaign = begin(site, server, update, timeline, _VOLUNTARY)
    began, before = stopwatch(), mirror.sent()
    _offered(staff, campaign)
    timeline.tell("all twenty are offered it; the update is downloaded ahead and installed nowhere")
    _break(staff.failing)
    for machine in staff.away:
        _stop(staff.agents[machine.name])
    timeline.tell(f"{_names(staff.away)} leave the office; on {staff.failing.name} every dpkg will fail")
    with ThreadPoolExecutor(4) as people:
        list(people.map(lambda machine: agent(machine, "install", campaign), staff.volunteers))
    await_shown(server, campaign, {"voluntary": len(staff.volunteers)}, 120)
    timeline.tell(f"{len(staff.volunteers)} people install it themselves")
    _cut_power(site, staff, timeline)
    await_shown(server, campaign, {"forced": len(staff.ignorers) + 1}, 400)
    timeline.tell("deadline passed: ignorers were forced in waves, the one that was cut off is whole again")
    _come_back(site, staff, campaign, timeline)
    _heal(staff.failing, campaign, timeline)
    shown = await_shown(server, campaign, {"fixed": 20, "concerned": 20}, 60)
    seconds, sent = stopwatch() - began, mirror.sent() - before
    timeline.figures |= {
        "volunteered": shown["voluntary"],
        "forced": shown["forced"],
        "seconds_offered_to_fixed": round(seconds, 1),
        "package_bytes": sent["debian"],
        "signed_bytes": sent["trust"],
    }
    timeline.tell(
        f"all twenty are fixed {seconds:.0f} s after the start: {shown['voluntary']} by choice, {shown['forced']} by "
        f"force; {sent['debian']:,} bytes of packages, {sent['trust']:,} of signed files"
    )


def _offered(staff: Staff, campaign: str) -> None:
    with ThreadPoolExecutor(4) as people:
        list(people.map(lambda machine: _know(machine, campaign), staff.everybody))


def _know(machine: Machine, campaign: str) -> None:
    until(f"{machine.name} is offered it", partial(_knows, machine, campaign), 60)


def _cut_power(site: Site, staff: Staff, timeline: Timeline) -> None:
    """Kill agent and dpkg of one machine in the middle of its forced installation (R23)."""
    machine = staff.cut
    until(f"dpkg runs on {machine.name}", lambda: bool(dpkgs(machine.root)), 400)
    killed = dpkgs(machine.root)
    staff.agents[machine.name].kill()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    staff.agents[machine.name].wait()
    timeline.tell(f"power cut at {machine.name}: agent and dpkg are killed in the middle")
    staff.agents[machine.name] = start_agent(site, machine)
    done = partial(_done, machine, "repair")
    until(f"{machine.name} is repaired", lambda: bool(done()), 120)
    timeline.figures["repaired"] = 1
    timeline.tell(f"{machine.name} starts again: {done()[-1]['detail'][:120]}")


def _come_back(site: Site, staff: Staff, campaign: str, timeline: Timeline) -> None:
    """A5: whoever was away at the deadline gets a countdown, and may choose within it."""
    for machine in staff.away:
        _long_away(machine)
        staff.agents[machine.name] = start_agent(site, machine)
    for machine in staff.away:
        until(f"{machine.name} counts down", partial(_counts_down, machine, campaign))
    timeline.tell(f"{_names(staff.away)} come back late: a countdown, no force at once")
    for machine in staff.away:
        agent(machine, "install", campaign)
    timeline.tell("their people do not wait for its end")


def _long_away(machine: Machine) -> None:
    """Let the agent believe that it has been silent for an hour: nobody waits for that here."""
    path = machine.root / "var/lib/forestall-agent/state.json"
    remembered = json.loads(path.read_text())
    remembered["passed_at"] = (utc_now() - timedelta(hours=1)).isoformat()
    path.write_text(json.dumps(remembered))


def _counts_down(machine: Machine, campaign: str) -> bool:
    return bool(_order(machine, campaign)["rule"] == "back-too-late")


def _break(machine: Machine) -> None:
    (machine.root / "etc/apt/apt.conf.d/99broken").write_text(_BROKEN_HOOK)


def _heal(machine: Machine, campaign: str, timeline: Timeline) -> None:
    """A4: a forced installation that fails is reported and not repeated at once; a person helps."""
    order = _order(machine, campaign)
    expect(f"{machine.name} has failed once", (order["rule"], order["failures"]), ("failed-lately", 1))
    timeline.tell(f"{machine.name} failed and said so: {order['problem'][:100]}")
    (machine.root / "etc/apt/apt.conf.d/99broken").unlink()
    agent(machine, "install", campaign)
    timeline.tell(f"somebody mends {machine.name} and installs it there")


def _recalled(site: Site, server: Server, staff: Staff, update: Pending, timeline: Timeline) -> None:
    """A7: the second campaign is withdrawn when its first wave has begun, and the server dies right after."""
    campaign = begin(site, server, update, timeline, _VOLUNTARY)
    _offered(staff, campaign)
    begun = partial(_begun, staff.everybody, campaign)
    until("the first wave begins", lambda: bool(begun()), 300)
    server.ask("campaign", "withdraw", campaign, "--by", "distributor")
    withdrawn = utc_now()
    gone = partial(_unsigned, server, campaign)
    until("the recall is signed", gone, 60)
    server.kill()
    timeline.tell(f"{campaign} is withdrawn after {len(begun())} had begun; then the server is killed")
    _wait(_LAST_WAVE + 30, lambda: not _holding(staff, campaign, begun()))
    starts = begun()
    last = max((at - withdrawn).total_seconds() for at in starts.values())
    held = _holding(staff, campaign, starts)
    timeline.figures |= {
        "recalled": len(staff.everybody) - len(starts),
        "begun_before_or_after_recall": len(starts),
        "recall_to_last_start_seconds": round(max(last, 0.0), 1),
    }
    if last > _RECALL_WITHIN or held:
        raise LabError(f"{last:.0f} s from the recall to the last start; {held} still hold the order")
    timeline.tell(
        f"recalled on all machines by the mirror alone: {len(starts)} had begun, the last one {last:.1f} s after "
        f"the recall; {len(staff.everybody) - len(starts)} never began"
    )


def _holding(staff: Staff, campaign: str, starts: Iterable[str]) -> list[str]:
    """List the machines that may still begin."""
    return [each.name for each in staff.everybody if each.name not in starts and _order(each, campaign)]


def _unsigned(server: Server, campaign: str) -> bool:
    signed = Repository(server.data / "trust" / "repository").newest(Role.ORDERS)
    return order_path(CampaignId(campaign)) not in signed.decode()


def _wait(limit: float, met: Callable[[], bool]) -> None:
    """Wait until it is so, or the time is over; what follows judges."""
    try:
        until("", met, limit)
    except LabError:
        return


def _begun(machines: Iterable[Machine], campaign: str) -> dict[str, datetime]:
    """List the machines that began to install by force, and when."""
    found: dict[str, datetime] = {}
    for machine in machines:
        journal = machine.root / "var/lib/forestall-agent/journal.jsonl"
        for entry in map(json.loads, journal.read_text().splitlines()):
            if (entry.get("campaign"), entry.get("rule")) == (campaign, "force"):
                found.setdefault(machine.name, datetime.fromisoformat(entry["at"]))
    return found


def _order(machine: Machine, campaign: str) -> Any:  # noqa: ANN401 - whatever JSON says
    orders = {order["campaign"]: order for order in agent(machine, "status")["orders"]}
    return orders.get(campaign)


def _knows(machine: Machine, campaign: str) -> bool:
    orders = agent(machine, "check")["orders"]
    return any(order["campaign"] == campaign and order["status"] == "affected" for order in orders)


def _done(machine: Machine, event: str) -> list[Any]:
    return [entry for entry in agent(machine, "status")["done"] if entry["event"] == event]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=30)


def _names(machines: Iterable[Machine]) -> str:
    return " and ".join(machine.name for machine in machines)
