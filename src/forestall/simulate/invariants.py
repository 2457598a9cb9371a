"""What must never happen and what must happen in the end, each one function over the truth (research, section 4.2)."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from forestall.domain.campaign import Phase
from forestall.domain.events import verify
from forestall.domain.evidence import Status
from forestall.domain.policy import HOUR, MINUTE
from forestall.domain.ring import RINGS, Ring, up_to
from forestall.simulate.history import Effect, Kind
from forestall.simulate.run import Run

_SLACK = MINUTE
_RECHECK_WITHIN = 15 * MINUTE
_BACK_WITHIN = 15 * MINUTE
_READ_BACK_WITHIN = 10 * MINUTE


class Violation(NamedTuple):
    """Something that must not be."""

    invariant: str
    at: datetime
    what: str


Found = Iterator[tuple[datetime, str]]


def _of(run: Run, *kinds: Kind) -> Iterator[Effect]:
    return (effect for effect in run.history.effects if effect.kind in kinds)


def s1(run: Run) -> Found:
    """No forced install before the deadline in force, in true time (P5.4, P8.1)."""
    for effect in _of(run, Kind.FORCED):
        if effect.deadline_at is None or effect.at < effect.deadline_at:
            yield effect.at, f"{effect.device} was forced before the deadline {effect.deadline_at}"


def s2(run: Run) -> Found:
    """No port closed for a machine that was fixed a quarter of an hour ago, or not seen vulnerable since (A2)."""
    for effect in _of(run, Kind.CLOSED):
        limit = effect.at - _RECHECK_WITHIN - _SLACK
        if effect.clean_since is not None and effect.clean_since < limit:
            yield effect.at, f"{effect.device} was removed, fixed since {effect.clean_since}"
        if effect.shown_at is None or effect.shown_at < limit:
            yield effect.at, f"{effect.device} was removed, last seen vulnerable at {effect.shown_at}"


def s3(run: Run) -> Found:
    """No protected or exempt machine is removed, and none without an accepted warning (A1, A8, A14, P6.4)."""
    recheck_after = run.server.memory.policy.recheck_after
    for effect in _of(run, Kind.CLOSED):
        if effect.protected:
            yield effect.at, f"{effect.device} is protected and was removed"
        if effect.exempt:
            yield effect.at, f"{effect.device} is exempt and was removed"
        warned = effect.warned_at is not None and effect.at - effect.warned_at >= recheck_after
        if not warned and not effect.waived:
            yield effect.at, f"{effect.device} was removed, warned at {effect.warned_at}"


def s4(run: Run) -> Found:
    """Nothing is done twice (A12)."""
    for effect in _of(run, Kind.CLOSED, Kind.WARNED, Kind.FORCED):
        if effect.again:
            yield effect.at, f"{effect.device} was {effect.kind} once more"


def s5(run: Run) -> Found:
    """Every effect was in the ledger before it happened, and the ledger's chain holds (A12)."""
    for effect in run.history.effects:
        if not effect.recorded:
            yield effect.at, f"{effect.device} was {effect.kind}, not written before"
    outside = run.server.memory.outside
    flaw = verify(outside.entries, [outside.head])
    if flaw is not None:
        yield run.ends, f"entry {flaw.sequence} {flaw.why}"


def s6(run: Run) -> Found:
    """Removals stay below the caps, across restarts and schedulers, but for what two people allowed (A8, A9)."""
    policy, server = run.server.memory.policy, run.server
    fleet_cap = max(10, int(server.shared.fleet * policy.removals_fleet_share))
    begun: dict[object, Effect] = {}
    for effect in _of(run, Kind.CLOSED):
        begun.setdefault(effect.intent, effect)
    recent: list[Effect] = []
    for effect in begun.values():
        recent = [old for old in recent if effect.at - old.at < HOUR] + [effect]
        site_cap = max(1, int(server.shared.sites[effect.site] * policy.removals_site_share))
        for what, count, cap in (
            ("in a minute", sum(effect.at - old.at < MINUTE for old in recent), policy.removals_a_minute),
            ("at a site in an hour", sum(old.site == effect.site for old in recent), site_cap),
            ("in an hour", len(recent), fleet_cap),
        ):
            if count > cap + effect.raised:
                yield (
                    effect.at,
                    f"{count} removals {what}, the cap is {cap} and {effect.raised} were allowed beyond",
                )


def s7(run: Run) -> Found:
    """A scheduler that was deposed does nothing any more (R12)."""
    for effect in run.history.effects:
        if effect.epoch != effect.newest_epoch:
            yield (
                effect.at,
                f"{effect.device} was {effect.kind} under epoch {effect.epoch} of {effect.newest_epoch}",
            )


def s8(run: Run) -> Found:
    """On a restored backup nobody is warned, forced or removed before the replay; the replay loses nothing (A12)."""
    for effect in _of(run, Kind.CLOSED, Kind.WARNED, Kind.FORCED):
        if effect.restored_at is None or (effect.kind is Kind.FORCED and not effect.told):
            continue
        # An agent's last question may be a minute old (A7).
        if effect.kind is not Kind.FORCED or effect.at - effect.restored_at > _SLACK:
            yield effect.at, f"{effect.device} was {effect.kind} on an older backup"
    memory = run.server.memory
    for (device, campaign), until in run.world.exemptions.items():
        if not memory.unreplayed and memory.tables.records[campaign, device].exempt_until != until:
            yield run.ends, f"{device} lost its exemption"


def s9(run: Run) -> Found:
    """A halted or withdrawn campaign starts nothing more than a minute later, where it can be heard (A7)."""
    for effect in _of(run, Kind.CLOSED, Kind.WARNED, Kind.FORCED):
        late = effect.stopped_at is not None and effect.at - effect.stopped_at > _SLACK
        if late and (effect.told or effect.kind is not Kind.FORCED):
            yield effect.at, f"{effect.device} was {effect.kind}, stopped since {effect.stopped_at}"


def s10(run: Run) -> Found:
    """No machine gets a patch before its ring has it (P4.1)."""
    for campaign in run.server.memory.tables.campaigns.values():
        held = set(RINGS) - set(up_to(campaign.ring)) if campaign.ring else set[Ring]()
        for (name, device), record in run.server.memory.tables.records.items():
            status = run.world.machines[device].truths[name].status if name == campaign.id else None
            if record.ring in held and status in {Status.FIXED, Status.PENDING_RESTART}:
                yield run.ends, f"{device} has {name}, and its ring {record.ring} has it not"


def l1(run: Run) -> Found:
    """After the calm every vulnerable machine is fixed, off, exempt, or waits for somebody by name (R14)."""
    server = run.server
    for campaign in run.world.campaigns.values():
        if not campaign.open or campaign.deadline_at is None or run.ends - campaign.deadline_at < 12 * HOUR:
            continue
        for machine in run.world.machines.values():
            truth = machine.truths.get(campaign.id)
            if truth is None or truth.clean or (machine.id, campaign.id) in run.world.switches.closed:
                continue
            why = _excuse(run, campaign.id, machine.id)
            if why:
                yield run.ends, f"{machine.id} in {campaign.id}: {why}"
    if server.memory.unreplayed:
        yield run.ends, "the restored backup was never replayed"


def _excuse(run: Run, campaign: str, device: str) -> str:
    """Say what is wrong with a machine that is still vulnerable; empty where it waits for a good reason."""
    memory, now = run.server.memory, run.ends
    key = next(each for each in memory.tables.records if each == (campaign, device))
    record = memory.tables.records[key]
    case = run.server.core.case_of(record, memory.moment(key[0], now))
    rule = run.server.core.decide(case)
    waits_for_somebody = {
        "exempt", "protected", "pending-restart", "counting-down", "disagree", "halted",
    }  # fmt: skip
    if rule.name in waits_for_somebody or key in memory.held or case.told or case.helped:
        return ""
    if rule.name in {"force", "forcing", "install-now"}:
        return (
            ""
            if record.forced_at is not None and now - record.forced_at < 9 * HOUR
            else f"{rule.name} for too long"
        )
    if rule.name == "unknown":
        return "" if record.asked_at is not None or not case.owned else "unknown and nobody was asked"
    since = record.warning_at or record.probe_at or record.agent_at
    return "" if since is not None and now - since < 9 * HOUR else f"stuck in {rule.name}"


def l2(run: Run) -> Found:
    """A fixed machine is back within a quarter of an hour, and no port stays closed without a reason (P6.5)."""
    calm_at = run.world.faults.calm_at
    for release in run.history.releases:
        wait = (release.opened_at or run.ends) - max(release.heard_at, calm_at)
        if wait > _BACK_WITHIN + _READ_BACK_WITHIN:
            yield (
                release.opened_at or run.ends,
                f"{release.device} was fixed and stayed off the network for {wait}",
            )
    for device, name in run.world.switches.closed:
        campaign = run.world.campaigns[name]
        idle = campaign.ended_at is not None and run.ends - max(campaign.ended_at, calm_at) > HOUR
        if idle and run.ends - calm_at > HOUR:
            yield run.ends, f"{device} is off the network for {name}, which has ended"


def l3(run: Run) -> Found:
    """Every halt ends, every deadline is kept, a service pack closes what it contains (P7.2)."""
    calm_at = run.world.faults.calm_at
    campaigns = run.world.campaigns
    for campaign in campaigns.values():
        if (
            campaign.halted_at is not None
            and campaign.open
            and run.ends - max(campaign.halted_at, calm_at) > 2 * HOUR
        ):
            yield run.ends, f"{campaign.id} is still halted"
        overdue = campaign.deadline_at is not None and run.ends - max(campaign.deadline_at, calm_at) > HOUR
        if campaign.phase is Phase.VOLUNTARY and overdue:
            yield run.ends, f"{campaign.id} never went past its deadline"
    pack = campaigns.get(next((name for name in campaigns if name == "service-pack"), None))  # type: ignore[arg-type]
    if pack is not None and pack.distributed_at is not None:
        for contained in run.world.cures[pack.id]:
            if campaigns[contained].open:
                yield run.ends, f"{contained} is open although {pack.id} contains it"


INVARIANTS: tuple[Callable[[Run], Found], ...] = (s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, l1, l2, l3)
"""Every one of them, in order."""


def violations(run: Run) -> list[Violation]:
    """Judge a run by all invariants."""
    return [Violation(each.__name__.upper(), at, what) for each in INVARIANTS for at, what in each(run)]


def by_name(found: list[Violation]) -> dict[str, int]:
    """Count violations by invariant."""
    count: defaultdict[str, int] = defaultdict(int)
    for violation in found:
        count[violation.invariant] += 1
    return dict(count)
