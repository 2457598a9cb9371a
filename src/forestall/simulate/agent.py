"""The agent of a made-up machine, which decides by the product's own table of an order, and the person before it."""

from datetime import datetime, timedelta

from forestall.domain.campaign import Phase
from forestall.domain.evidence import Status, Witness
from forestall.domain.order import CampaignId, Decision, Limits, Standing, Step, Verb, came_back
from forestall.domain.policy import HOUR, MINUTE
from forestall.simulate.company import Temper
from forestall.simulate.history import Kind
from forestall.simulate.machine import Answer, Held, Machine, Report
from forestall.simulate.memory import Lease
from forestall.simulate.world import World

_LIMITS = Limits()
_CHECK_EVERY = 4 * HOUR
_ASK_AGAIN = 15 * MINUTE


def wake(world: World, machine: Machine) -> None:
    """Start the agent, or tell it to look now: its next pass checks in."""
    machine.next_check_at = None
    run_pass(world, machine)


def run_pass(world: World, machine: Machine, timer: int | None = None) -> None:
    """Do all that is due now and sleep until the next thing may be."""
    if timer is not None and timer != machine.timer:
        return
    if not (machine.on and machine.agent_alive and machine.device.managed):
        return
    now = world.now
    machine.timer += 1
    mine = machine.timer
    if machine.next_check_at is None or now >= machine.next_check_at:
        _check_in(world, machine)
    wakes = [machine.next_check_at or now + _ASK_AGAIN]
    for campaign in list(machine.orders):
        until = _settle(world, machine, campaign)
        if until is not None:
            wakes.append(max(until, now + MINUTE))
    machine.passed_at = now
    if mine == machine.timer:
        world.timeline.at(min(wakes), run_pass, world, machine, mine)


def _check_in(world: World, machine: Machine, forcing: CampaignId | None = None) -> bool:
    """Ask the server, a last time before `forcing`; false where no answer came back."""
    machine.next_check_at = world.now + _ASK_AGAIN
    if not machine.connected:
        return False
    machine.sequence += 1
    states = tuple(
        (campaign, truth.status, held.failures if (held := machine.orders.get(campaign)) else 0)
        for campaign, truth in machine.truths.items()
    )
    down = tuple(campaign for campaign, truth in machine.truths.items() if truth.down)
    for truth in machine.truths.values():
        if not truth.clean:
            truth.shown_at = world.now
    answer = _deliver(world, Report(machine.id, machine.sequence, states, forcing, machine.boots, down))
    if answer is None:
        return False
    _take(world, machine, answer)
    for campaign, status, _ in states:
        world.heard(machine, campaign, status)
    return True


def _deliver(world: World, report: Report) -> Answer | None:
    """Send a report over a network that may double, lose or delay it; None where no answer comes back."""
    timeline, faults = world.timeline, world.faults
    if world.stormy:
        if timeline.chance(faults.doubled):
            timeline.after(timeline.seconds(1, 600), world.office.check_in, report)
        if timeline.chance(faults.lost):
            if timeline.chance(0.5):
                world.office.check_in(report)
            return None
        if timeline.chance(faults.late):
            timeline.after(timeline.seconds(1, 60), world.office.check_in, report)
            return None
    return world.office.check_in(report)


def _take(world: World, machine: Machine, answer: Answer) -> None:
    now = world.core.agent_time(world.now, machine.skew)
    machine.checked_at = now
    machine.next_check_at = world.now + _CHECK_EVERY + world.timeline.seconds(-300, 300)
    kept: dict[CampaignId, Held] = {}
    for handed in answer.orders:
        held = machine.orders.get(handed.order.campaign) or Held(handed.order, now)
        held.order, held.restart, held.countdown = handed.order, handed.restart, handed.countdown
        kept[handed.order.campaign] = held
    machine.orders = kept


def _settle(world: World, machine: Machine, campaign: CampaignId) -> datetime | None:
    """Go through one order until it waits for something; returns when that may be over."""
    unanswered = asked = False
    for _ in range(len(Step)):
        held, truth = machine.orders.get(campaign), machine.truths[campaign]
        if held is None or machine.installing or (truth.clean and held.order.verb is not Verb.RECALL):
            return None
        decision = _decide(world, machine, held, truth.status, unanswered=unanswered)
        if decision.step is Step.OFFER:
            held.offered = True
            pick_moment(world, machine, campaign)
        elif decision.step is Step.CHECK_IN and not asked:
            asked = True
            unanswered = not _check_in(world, machine, campaign if decision.forcing else None)
        else:
            return _act(world, machine, held, decision, unanswered=unanswered)
    return None


def _decide(world: World, machine: Machine, held: Held, status: Status, *, unanswered: bool) -> Decision:
    now = world.core.agent_time(world.now, machine.skew)
    limits = _LIMITS if held.countdown == _LIMITS.countdown else Limits(countdown=held.countdown)
    if held.returned_at is None and came_back(held.order, held.held_since, machine.passed_at, now, limits):
        held.returned_at = now
    standing = Standing(
        status, held.offered, held.offered, machine.checked_at, unanswered, held.returned_at, held.failed_at
    )
    return world.core.next_step(held.order, standing, now, limits)


def _act(
    world: World, machine: Machine, held: Held, decision: Decision, *, unanswered: bool
) -> datetime | None:
    """Do the last step of a pass; returns when the answer may change by itself."""
    campaign = held.order.campaign
    match decision.step:
        case Step.CHECK_IN:
            return world.now + _ASK_AGAIN
        case Step.FORCE:
            world.history.sometimes["forced by its own clock, out of reach"] += unanswered
            install(world, machine, campaign, forced=True, heard=not unanswered)
        case Step.AWAIT_RESTART if held.restart:
            world.timeline.after(30 * MINUTE, restart, world, machine)
        case Step.DROP:
            del machine.orders[campaign]
        case _:
            world.history.sometimes["counted down after a return"] += decision.rule.name == "back-too-late"
            return decision.until
    return None


def pick_moment(world: World, machine: Machine, campaign: CampaignId) -> None:
    """The person behind a machine hears of the patch and picks a moment, or does not (P5.2, P6.1)."""
    habit, deadline_at = machine.habit, world.campaigns[campaign].deadline_at
    if _tested(world, campaign):
        plan(
            world, machine, campaign, world.timeline.seconds(600, 3 * 3600)
        )  # testers are there for it (P4.1)
    elif habit.temper is Temper.RESPONDS:
        plan(world, machine, campaign, habit.answers_after)
    elif habit.temper is Temper.WAITS and deadline_at is not None:
        plan(world, machine, campaign, deadline_at - world.now - 2 * habit.answers_after)


def _tested(world: World, campaign: CampaignId) -> bool:
    return world.campaigns[campaign].phase is Phase.TESTING


def plan(world: World, machine: Machine, campaign: CampaignId, wait: timedelta) -> None:
    """Somebody will install after a while."""
    world.timeline.after(max(wait, MINUTE), _chosen, world, machine, campaign)


def check_myself(world: World, machine: Machine, campaign: CampaignId) -> None:
    """An owner follows the link that checks the machine now (A2, A13)."""
    if machine.on:
        world.history.sometimes["an owner checked a machine"] += 1
        world.show(machine, campaign, Witness.LOGON, machine.truths[campaign].status)


def _chosen(world: World, machine: Machine, campaign: CampaignId) -> None:
    """The person installs by hand, if the machine is on and it is still needed."""
    truth = machine.truths[campaign]
    if truth.status is not Status.AFFECTED or not world.campaigns[campaign].open:
        return
    if machine.on and not machine.installing:
        install(world, machine, campaign, forced=False)
    else:
        world.timeline.after(6 * HOUR, _chosen, world, machine, campaign)


def install(
    world: World, machine: Machine, campaign: CampaignId, *, forced: bool, heard: bool = True
) -> None:
    """Begin an install; it takes some minutes. `heard`: the server could have said that it must not be."""
    if machine.installing or machine.truths[campaign].clean:
        return
    if forced:
        truth = machine.truths[campaign]
        again = truth.forced_at is not None and world.now - truth.forced_at < _LIMITS.retry_after / 2
        newest = world.office.memory.lease.epoch
        told = heard and machine.connected
        world.note(machine, Kind.FORCED, campaign, None, Lease(epoch=newest), again=again, told=told)
        truth.forced_at = world.now
    machine.installing = True
    world.timeline.after(world.timeline.seconds(60, 480), _installed, world, machine, campaign, forced)


def _installed(world: World, machine: Machine, campaign: CampaignId, forced: bool) -> None:
    machine.installing = False
    if (
        forced
        and world.stormy
        and world.faults.patch_kills
        and world.timeline.chance(world.faults.patch_kills)
    ):
        machine.on, machine.connected, machine.dead = False, False, True
        return
    held = machine.orders.get(campaign)
    if _fails(world, machine):
        machine.truths[campaign].forced_at = None
        if held is not None and forced:
            held.failures += 1
            held.failed_at = world.core.agent_time(world.now, machine.skew)
    else:
        if held is not None:
            held.failures, held.failed_at = 0, None
        machine.truths[campaign].down = machine.fragile and world.faults.patch_breaks_services
        pending = not machine.habit.restarts_itself
        world.becomes(machine, campaign, Status.PENDING_RESTART if pending else Status.FIXED)
        if pending:
            most = 4 if _tested(world, campaign) else 60
            world.timeline.after(world.timeline.seconds(3600, most * 3600), restart, world, machine)
        elif not machine.device.managed and world.timeline.chance(0.5):
            check_myself(world, machine, campaign)
    wake(world, machine)


def _fails(world: World, machine: Machine) -> bool:
    if world.stormy and world.timeline.chance(world.faults.patch_breaks):
        return True
    return machine.habit.unreliable and not machine.repaired and world.timeline.chance(0.8)


def restart(world: World, machine: Machine) -> None:
    """A restart makes installed patches effective (A6)."""
    pending = [
        campaign for campaign, truth in machine.truths.items() if truth.status is Status.PENDING_RESTART
    ]
    machine.boots += bool(pending)
    for campaign in pending:
        world.becomes(machine, campaign, Status.FIXED)
    if pending:
        wake(world, machine)
