"""One pass of the server: gather, decide, order. What is decided of a campaign is one transaction (A12)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.brakes import Held, brake, halt_reason
from forestall.domain.campaign import Campaign, due, take
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.intent import Intent, propose
from forestall.domain.policy import Policy
from forestall.domain.record import Record
from forestall.store import approvals, campaigns, intents, ledger, records
from forestall.store.database import Connection, Database
from forestall.store.lease import Lease


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

    `observing` names why only harmless things may be ordered.

    Raises:
        LeaseLostError: another scheduler decides by now; nothing of the campaign at hand was written.
    """
    with database.begin() as con:
        active = campaigns.active(con)
    done: list[Passed] = []
    for campaign in active:
        with database.begin() as con:
            done.append(_decide(con, lease, campaign, now, policy, observing))
    return done


def _decide(
    con: Connection, lease: Lease, campaign: Campaign, now: datetime, policy: Policy, observing: str
) -> Passed:
    found = records.gather(con, campaign.id)
    campaign = _halted(con, lease, _moved(con, lease, campaign, now), found, now, policy)
    load = intents.load(con, now)
    proposed = _without_waiting(con, propose(found, campaign, now, policy))
    raised = approvals.raised(con, campaign.id)
    braked = brake(proposed, campaign, load, now, policy, observing=observing, raised=raised)
    new = intents.order(con, lease, braked.permitted, now)
    approvals.spend(con, campaign.id, braked.spent)
    intents.hold(con, campaign.id, _listed(braked.held), lease.holder, now)
    return Passed(
        campaign=campaign.id,
        machines=len(found),
        ordered=Counter(intent.action for intent in new),
        held=Counter(each.brake for each in braked.held),
    )


def _without_waiting(con: Connection, proposed: Sequence[Intent]) -> list[Intent]:
    """Leave out removals that wait for their switch: braked again, they would use up the caps of all others (A8)."""
    removals = [intent for intent in proposed if intent.action is Action.QUARANTINE]
    waiting = set(removals).difference(intents.unordered(con, removals))
    return [intent for intent in proposed if intent not in waiting]


def _moved(con: Connection, lease: Lease, campaign: Campaign, now: datetime) -> Campaign:
    """Take the step that time alone takes: the deadline has passed (P5.4)."""
    step = due(campaign, now)
    moved = take(campaign, step, now) if step else None
    if step is None or moved is None:
        return campaign
    campaigns.save(con, moved)
    body: dict[str, JsonValue] = {"from": campaign.phase, "to": moved.phase}
    event = Event(EventKind.PHASE_CHANGED, lease.holder, campaign.id, campaign.id, step, "P5.4", body)
    ledger.append(con, [event], now)
    return moved


def _halted(
    con: Connection, lease: Lease, campaign: Campaign, found: Sequence[Record], now: datetime, policy: Policy
) -> Campaign:
    """Stop a campaign whose installs fail or silence machines (A7)."""
    if campaign.halted_at is not None or not campaign.open:
        return campaign
    forced = [record for record in found if record.forced_at is not None]
    failed = sum(record.failures > 0 for record in forced)
    silent = sum(_silent(record, now, policy) for record in forced)
    why = halt_reason(len(forced), failed, silent, policy)
    if not why:
        return campaign
    halted = replace(campaign, halted_at=now, halted_because=why)
    campaigns.save(con, halted)
    ledger.append(
        con, [Event(EventKind.HALTED, lease.holder, campaign.id, campaign.id, "", "A7", {"why": why})], now
    )
    return halted


def _silent(record: Record, now: datetime, policy: Policy) -> bool:
    """Say whether a machine was forced, had time to answer, and has not been heard since."""
    forced_at = record.forced_at
    if forced_at is None or now - forced_at < 2 * policy.check_every:
        return False
    return record.heard_at is None or record.heard_at <= forced_at


def _listed(held: Sequence[Held]) -> list[Held]:
    """Leave out machines whose wave has not come: that is the plan, not a brake that bites."""
    return [each for each in held if each.brake != "wave"]
