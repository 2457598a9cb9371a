"""Applies what was ordered to the world outside: guarded again right before, answered by a receipt (A12)."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.brakes import HARMLESS
from forestall.domain.case import Moment, case_of, moment_of
from forestall.domain.intent import Intent
from forestall.domain.order import CampaignId
from forestall.domain.plan import still_wanted
from forestall.domain.policy import Policy
from forestall.domain.record import Outcome, Receipt, Record
from forestall.store import campaigns, intents, records
from forestall.store.database import Connection, Database

Effect = Callable[[Sequence[Intent], datetime], Sequence[Receipt]]
"""Does one action to some machines and says for each, in order, what became of it. Twice must be as good as once."""

Effects = Mapping[Action, Effect]

AT_ONCE = defaultdict[Action, int](lambda: 1_000, {Action.LOOK: 200})
"""How many are taken in one turn. Looks are slow: the next one in a hurry waits no longer than for these (P6.4)."""


def apply_open(
    database: Database, effects: Effects, actor: str, now: datetime, policy: Policy, *, observing: str = ""
) -> int:
    """Carry out the intents that wait for one of these effects; returns how many were answered.

    Each action has its own transaction and its own share of a turn: a thousand that wait for one thing hold up no
    other. While `observing` says why, only harmless ones are carried out: a restored backup's orders may have been
    carried out long ago.
    """
    allowed = (action for action in effects if action in HARMLESS or not observing)
    return sum(_apply(database, action, effects[action], actor, now, policy) for action in allowed)


def _apply(
    database: Database, action: Action, effect: Effect, actor: str, now: datetime, policy: Policy
) -> int:
    with database.begin() as con:
        waiting = [each.intent for each in intents.open_intents(con, now, (action,), AT_ONCE[action])]
        answered = dropped(con, waiting, now, policy)
        gone = {id(intent) for intent, _ in answered}
        wanted = [intent for intent in waiting if id(intent) not in gone]
        if wanted:
            answered += zip(wanted, effect(wanted, now), strict=True)
        intents.conclude(con, answered, actor, now)
    return len(answered)


def dropped(
    con: Connection, waiting: Sequence[Intent], now: datetime, policy: Policy
) -> list[tuple[Intent, Receipt]]:
    """Decide again on the newest facts: what the rules no longer want, or do not know, is dropped."""
    by_campaign = defaultdict[CampaignId, list[Intent]](list)
    for intent in waiting:
        by_campaign[intent.campaign].append(intent)
    dropped: list[tuple[Intent, Receipt]] = []
    for name, wanted in by_campaign.items():
        campaign = campaigns.get(con, name)
        moment = moment_of(campaign, now, policy) if campaign else None
        found = {each.device: each for each in records.some(con, name, [intent.device for intent in wanted])}
        reasons = ((intent, _unwanted(intent, found.get(intent.device), moment)) for intent in wanted)
        dropped += [(intent, Receipt(Outcome.DROPPED, now, why)) for intent, why in reasons if why]
    return dropped


def _unwanted(intent: Intent, record: Record | None, moment: Moment | None) -> str:
    """Say why an intent must not be carried out any more; empty where it may."""
    if record is None or moment is None:
        return "the machine is not in the campaign"
    rule = still_wanted(intent.action, case_of(record, moment))
    return f"{rule.name}: {rule.meaning}" if rule else ""
