"""One pass of the server: gather, decide, order. What is decided of a campaign is one transaction (A12)."""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.brakes import Braked, Held, brake
from forestall.domain.campaign import Campaign, due, halted, next_ring, take
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.halt import failing
from forestall.domain.intent import Intent, propose
from forestall.domain.policy import Policy
from forestall.domain.record import Record
from forestall.domain.rule import Rule
from forestall.domain.testing import Gate
from forestall.server.steps import changed
from forestall.server.trying import judgement, open_ring
from forestall.store import approvals, campaigns, intents, records
from forestall.store.database import Connection, Database
from forestall.store.intents import LeaseLostError
from forestall.store.lease import Lease, holds


@dataclass(frozen=True, slots=True)
class Passed:
    """What a pass did in one campaign."""

    campaign: str
    machines: int
    ordered: Counter[Action]
    held: Counter[str]
    """By brake."""


def run_pass(
    database: Database, lease: Lease, now: datetime, policy: Policy, *, observing: str = ""
) -> list[Passed]:
    """Decide for every campaign with something left to decide.

    `observing` names why only harmless things may be ordered; no campaign moves or halts then, because what is known
    of its machines is not what happened to them.

    Raises:
        LeaseLostError: another scheduler decides by now; nothing of the campaign at hand was written.
    """
    with database.begin() as con:
        active = campaigns.active(con)
    done: list[Passed] = []
    for each in active:
        if not observing and due(each, now) is not None:
            with database.begin() as con:
                _move(con, lease, each, now)
        if not observing and next_ring(each) is not None:
            with database.begin() as con:
                _test(con, lease, each, now, policy)
        with _uncollected(), database.begin() as con:
            campaign = campaigns.get(con, each.id)
            if campaign is not None:
                done.append(_decide(con, lease, campaign, now, policy, observing))
    return done


def decided(
    con: Connection,
    campaign: Campaign,
    found: Sequence[Record],
    now: datetime,
    policy: Policy,
    observing: str = "",
) -> Braked:
    """Decide what may be ordered of a campaign now and what waits; writes nothing (A8)."""
    proposed = _without_waiting(con, propose(found, campaign, now, policy))
    return brake(
        proposed,
        campaign,
        intents.load(con, now),
        now,
        policy,
        observing=observing,
        raised=approvals.raised(con, campaign.id),
        raised_for=approvals.raised_for(con, campaign.id),
    )


def _decide(
    con: Connection, lease: Lease, campaign: Campaign, now: datetime, policy: Policy, observing: str
) -> Passed:
    found = records.gather(con, campaign.id)
    why = "" if observing else failing(found, campaign, now, policy)
    if why:
        # Decided again next turn: the rules of a halted campaign are others.
        _halt(con, lease, campaign, why, now)
        return Passed(campaign.id, len(found), Counter(), Counter())
    braked = decided(con, campaign, found, now, policy, observing)
    if not campaigns.unchanged(con, campaign):
        # Somebody halted or moved it meanwhile, and nobody had to wait for us: the next turn decides anew (A7).
        return Passed(campaign.id, len(found), Counter(), Counter())
    new = intents.order(con, lease, braked.permitted, now)
    approvals.spend(con, campaign.id, braked.spent)
    intents.hold(con, campaign.id, _listed(braked.held), lease.holder, now)
    return Passed(
        campaign=campaign.id,
        machines=len(found),
        ordered=Counter(intent.action for intent in new),
        held=Counter(each.brake for each in braked.held),
    )


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector away: a third of a large pass went into its search for circles that are not there."""
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def _without_waiting(con: Connection, proposed: Sequence[Intent]) -> list[Intent]:
    """Leave out removals that wait for their switch: braked again, they would use up the caps of all others (A8)."""
    removals = [intent for intent in proposed if intent.action is Action.QUARANTINE]
    waiting = set(removals).difference(intents.unordered(con, removals))
    return [intent for intent in proposed if intent not in waiting]


def _move(con: Connection, lease: Lease, stale: Campaign, now: datetime) -> None:
    """Take the step that time alone takes: the deadline has passed (P5.4)."""
    _fence(con, lease)
    campaign = campaigns.locked(con, stale.id)
    step = due(campaign, now) if campaign else None
    moved = take(campaign, step, now) if campaign and step else None
    if campaign is None or step is None or moved is None:
        return
    body: dict[str, JsonValue] = {"from": campaign.phase, "to": moved.phase}
    event = Event(EventKind.PHASE_CHANGED, lease.holder, campaign.id, "", step, "P5.4", body)
    changed(con, campaign, moved, event, now)


def _test(con: Connection, lease: Lease, stale: Campaign, now: datetime, policy: Policy) -> None:
    """Let the next ring have a patch, or halt it, by what the rings that have it answer (P4)."""
    campaign = campaigns.get(con, stale.id)
    judged = judgement(con, campaign, now, policy) if campaign else None
    if campaign is None or judged is None or judged.rule.then is Gate.HOLD:
        return
    if judged.rule.then is Gate.HALT:
        _halt(con, lease, campaign, judged.why, now, judged.rule)
        return
    _fence(con, lease)
    if campaigns.locked(con, campaign.id) == campaign:
        open_ring(con, campaign, judged, lease.holder, now)


def _halt(
    con: Connection,
    lease: Lease,
    campaign: Campaign,
    why: str,
    now: datetime,
    rule: Rule[Gate] | None = None,
) -> None:
    """Stop a campaign whose installs fail or silence machines (A7)."""
    _fence(con, lease)
    if campaigns.locked(con, campaign.id) != campaign:
        return
    name, paragraph = (rule.name, rule.paragraph) if rule else ("halted", "A7")
    event = Event(EventKind.HALTED, lease.holder, campaign.id, "", name, paragraph, {"why": why})
    changed(con, campaign, halted(campaign, why, now), event, now)


def _fence(con: Connection, lease: Lease) -> None:
    if not holds(con, lease):
        raise LeaseLostError(f"{lease.holder} no longer holds {lease.name}: another scheduler took over.")


def _listed(held: Sequence[Held]) -> list[Held]:
    """Leave out machines whose wave has not come: that is the plan, not a brake that bites."""
    return [each for each in held if each.brake != "wave"]
