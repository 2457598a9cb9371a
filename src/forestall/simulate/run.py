"""One simulated run: a company, a scenario, a seed; the storm, then the calm; the same seed gives the same trace."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from forestall.domain.campaign import Step
from forestall.domain.metrics import Standing, standing
from forestall.domain.policy import DAY, HOUR, MINUTE, Policy
from forestall.simulate import agent, life, testers
from forestall.simulate.company import Company
from forestall.simulate.core import Core
from forestall.simulate.desk import Desk
from forestall.simulate.faults import Faults, draw_faults, no_faults
from forestall.simulate.history import History, Release
from forestall.simulate.memory import Memory, Tables
from forestall.simulate.people import PACK, PATCH, Staff
from forestall.simulate.scenario import Scenario
from forestall.simulate.server import PATROL_EVERY, Server
from forestall.simulate.switches import Switches
from forestall.simulate.timeline import BEGINNING, Timeline
from forestall.simulate.world import World

CALM_SHARE = 0.28
"""The last part of a run is calm; liveness is judged at its end."""
_MEASURED_EVERY = 4 * HOUR


@dataclass(frozen=True, slots=True)
class Point:
    """How the first campaign stands at one instant, in truth and as the server knows."""

    at: datetime
    vulnerable: int
    """Machines that truly are."""
    known: Standing


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run, still open to questions."""

    seed: int
    scenario: Scenario
    begins: datetime
    ends: datetime
    world: World
    server: Server
    history: History
    curve: tuple[Point, ...]
    """Empty where nobody watched."""
    trace_hash: str


def run(  # noqa: PLR0913 - half of them have defaults
    scenario: Scenario,
    company: Company,
    days: float,
    seed: int,
    *,
    core: Core | None = None,
    stormy: bool = True,
    faults: Faults | None = None,
    watch: Callable[[datetime], None] | None = None,
) -> Run:
    """Let a company live through a scenario with the faults of its seed, none, or those given.

    `watch` is told the time once a simulated day.
    """
    timeline, history = Timeline(seed), History()
    begins, ends = timeline.now, timeline.now + DAY * days
    tested_after = timeline.seconds(20 * 3600, 40 * 3600)
    calm_at = ends - (ends - begins) * CALM_SHARE
    enforced_at = begins + tested_after + (scenario.imminent_after or scenario.voluntary_period)
    if faults is None:
        faults = _faults(seed, calm_at, enforced_at) if stormy else no_faults(calm_at)
    if scenario.breaks:
        faults = replace(faults, patch_breaks_services=True)
    server, world = _assemble(company, faults, timeline, history, core or Core())
    life.populate(world)
    Staff(timeline, world, server, scenario).begin(tested_after)
    if scenario.rings:
        timeline.after(PATROL_EVERY, testers.watch, server)
    _unleash(faults, timeline, world, server)
    curve: list[Point] = []
    timeline.after(timedelta(), _measure, server, world, curve if watch else None)
    timeline.at(faults.calm_at, _calm, world)
    while timeline.now < ends:
        timeline.run(min(ends, timeline.now + DAY))
        if watch:
            watch(timeline.now)
    _close_books(world)
    trace_hash = _trace(timeline, server.memory, history)
    return Run(seed, scenario, begins, ends, world, server, history, tuple(curve), trace_hash)


def _faults(seed: int, calm_at: datetime, enforced_at: datetime) -> Faults:
    crowded_at = max(BEGINNING, min(enforced_at, calm_at - DAY))
    return draw_faults(Random(f"faults {seed}"), BEGINNING, calm_at, crowded_at)  # noqa: S311 - repeatable


def _assemble(
    company: Company, faults: Faults, timeline: Timeline, history: History, core: Core
) -> tuple[Server, World]:
    server = Server(timeline, Memory(Policy()), core, history)
    switches = Switches(timeline, faults)
    world = World(timeline, company, faults, core, history, switches, Desk(server), cures={PACK: (PATCH,)})
    server.open_for(world)
    return server, world


def _unleash(faults: Faults, timeline: Timeline, world: World, server: Server) -> None:
    """Put the drawn faults on the timeline."""
    for at in faults.kills:
        timeline.at(at, server.kill, timeline.seconds(30, 900))
    for start, until in faults.pauses:
        timeline.at(start, server.pause, until)
    for at in faults.clock_jumps:
        timeline.at(at, _jump, world)
    for at in faults.hands_on_ports:
        timeline.at(at, world.switches.open_by_hand)
    if faults.restore is not None:
        backup_at, restore_at = faults.restore
        timeline.at(backup_at, _back_up, server, timeline, restore_at)
    if faults.withdrawn_at is not None:
        timeline.at(faults.withdrawn_at, _withdraw, server, timeline)
    if faults.stopped is not None:
        timeline.at(faults.stopped[0], _stop, server)


def _back_up(server: Server, timeline: Timeline, restore_at: datetime) -> None:
    backup: Tables = server.memory.tables.copy()
    timeline.at(restore_at, server.restore, backup, 10 * MINUTE)


def _withdraw(server: Server, timeline: Timeline) -> None:
    if not server.up or server.memory.unreplayed:
        timeline.after(10 * MINUTE, _withdraw, server, timeline)
    elif server.step(PATCH, Step.WITHDRAW, "kim"):
        server.history.sometimes["a patch was withdrawn"] += 1


def _stop(server: Server) -> None:
    campaign = server.memory.tables.campaigns[PATCH]
    if server.up and not server.memory.unreplayed and campaign.open and campaign.halted_at is None:
        server.halt(PATCH, "stopped by hand", "kim")


def _jump(world: World) -> None:
    """Some machines' own clocks go wrong."""
    random = world.timeline.random
    for machine in world.machines.values():
        if random.random() < 0.3:
            machine.skew = timedelta(hours=random.choice((-240, -30, -1, 1, 9, 20, 240)))
            if machine.speaks or machine.on:
                agent.run_pass(world, machine)


def _calm(world: World) -> None:
    """All faults end; everybody comes back and stays."""
    for machine in world.machines.values():
        machine.skew = timedelta()
        if not (machine.on and machine.connected):
            machine.on, machine.dead, machine.repaired = True, False, machine.dead or machine.repaired
            life.knock(world, machine)


def _measure(server: Server, world: World, curve: list[Point] | None) -> None:
    world.timeline.after(_MEASURED_EVERY, _measure, server, world, curve)
    if curve is None:
        return
    tables, now = server.memory.tables, world.now
    vulnerable = sum(not machine.truths[PATCH].clean for machine in world.machines.values())
    mine = [record for (campaign, _), record in tables.records.items() if campaign == PATCH]
    known = standing(mine, tables.campaigns[PATCH], now, server.memory.policy)
    curve.append(Point(now, vulnerable, known))


def _close_books(world: World) -> None:
    for device, campaign in world.switches.closed:
        heard_at = world.machines[device].truths[campaign].heard_clean_at
        if heard_at is not None:
            world.history.releases.append(Release(device, campaign, heard_at, None))


def _trace(timeline: Timeline, memory: Memory, history: History) -> str:
    """Hash what happened: every effect, the ledger's head, the number of events, the state of chance."""
    digest = hashlib.sha256()
    for effect in history.effects:
        digest.update(
            f"{effect.at.isoformat()} {effect.kind} {effect.device} {effect.campaign} {effect.epoch}\n".encode()
        )
    digest.update(f"{memory.outside.head.hash} {timeline.happened} {timeline.random.random()}".encode())
    return digest.hexdigest()
