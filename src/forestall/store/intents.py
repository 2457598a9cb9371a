"""Intents: ordered with their ledger entries under a valid lease in one transaction, answered by receipts (A12)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Interval, Row, and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.action import Action
from forestall.domain.brakes import Held, Load
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.errors import StoreError
from forestall.domain.events import Event, EventKind
from forestall.domain.intent import Intent, concluded, intended
from forestall.domain.order import CampaignId
from forestall.domain.plan import UNHURRIED
from forestall.domain.policy import HOUR, MINUTE
from forestall.domain.record import INTENT_MARKS, Outcome, Receipt, Record, after_receipt
from forestall.store import devices, ledger, records, rings
from forestall.store.bulk import copy_in, staged
from forestall.store.lease import Lease, holds
from forestall.store.tables import device as device_table
from forestall.store.tables import held as held_table
from forestall.store.tables import intent as table

PUBLISHED = frozenset(
    {
        Action.RECALL, Action.REVIEW, Action.TELL, Action.HELP, Action.OFFER, Action.INSTALL, Action.RESTART,
        Action.EXPECT, Action.COUNT_DOWN,
    }
)  # fmt: skip
"""Done by being on record: agents, doors and people's lists read them from here."""

KEY = ("campaign", "revision", "device", "action", "round")
_FIELDS = Intent._fields
_COLUMNS = (*_FIELDS, "ordered_at", "outcome", "ended_at")
_LONGEST_WAIT = 15 * MINUTE


class LeaseLostError(StoreError):
    """Somebody else decides by now; nothing was written."""


class Open(NamedTuple):
    """An intent whose effect has not been answered yet."""

    intent: Intent
    ordered_at: datetime
    attempts: int


def order(con: Connection, lease: Lease, intents: Sequence[Intent], now: datetime) -> list[Intent]:
    """Put intents and their ledger entries on record, all or nothing; returns those that are new.

    Raises:
        LeaseLostError: the lease is no longer the newest.
    """
    if not holds(con, lease):
        raise LeaseLostError(f"{lease.holder} no longer holds {lease.name}: another scheduler took over.")
    new = _put(con, intents, now)
    ledger.append(con, [intended(intent, lease.holder) for intent in new], now, partial(_mark, con, new, now))
    return new


def unordered(con: Connection, intents: Sequence[Intent]) -> list[Intent]:
    """Leave out what was ordered before."""
    known = _known(con, intents)
    return [intent for intent in intents if key_of(intent) not in known]


def hold(con: Connection, campaign: CampaignId, waiting: Sequence[Held], actor: str, now: datetime) -> None:
    """List what the brakes hold in a campaign now; what is no longer held leaves the list."""
    columns = (*_FIELDS, "brake", "brake_paragraph", "since")
    like = [held_table.c[name] for name in columns]
    rows = [(*each.intent, each.brake, each.paragraph, now) for each in waiting]
    with staged(con, like, rows) as stage:
        same = and_(*(held_table.c[name] == stage.c[name] for name in KEY))
        still = select(stage.c.device).where(same).exists()
        con.execute(delete(held_table).where(held_table.c.campaign == campaign, ~still))
        statement = insert(held_table).from_select(columns, select(stage)).on_conflict_do_nothing()
        new = con.execute(
            statement.returning(held_table.c.device, held_table.c.rule, held_table.c.brake)
        ).all()
    events = [
        Event(EventKind.HELD, actor, row.device, campaign, row.rule, "A8", {"brake": row.brake})
        for row in new
    ]
    ledger.append(con, events, now)


def held(con: Connection, campaign: CampaignId) -> list[tuple[Held, datetime]]:
    """List what waits in a campaign, and since when."""
    rows = con.execute(
        select(held_table).where(held_table.c.campaign == campaign).order_by(held_table.c.since)
    )
    return [(Held(read_intent(row), row.brake, row.brake_paragraph), row.since) for row in rows]


def open_intents(
    con: Connection, now: datetime, actions: Iterable[Action] = tuple(Action), limit: int = 1_000
) -> list[Open]:
    """Take intents whose effect is due, those in a hurry first, then the oldest; another worker's are passed over."""
    statement = (
        select(table)
        .where(
            table.c.ended_at.is_(None),
            table.c.action.in_(list(actions)),
            func.coalesce(table.c.retry_at, now) <= now,
        )
        .order_by(table.c.rule.in_(UNHURRIED), table.c.ordered_at, table.c.device)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Open(read_intent(row), row.ordered_at, row.attempts) for row in con.execute(statement)]


def conclude(con: Connection, done: Iterable[tuple[Intent, Receipt]], actor: str, now: datetime) -> None:
    """Keep receipts with what they change on the records; a failed effect is tried again, later and later."""
    answered = list(done)
    _keep(con, answered)
    final = [(intent, receipt) for intent, receipt in answered if receipt.outcome is not Outcome.FAILED]
    changes = defaultdict[CampaignId, dict[DeviceId, Callable[[Record], Record]]](dict)
    for intent, receipt in final:
        changes[intent.campaign][intent.device] = partial(
            after_receipt, action=intent.action, receipt=receipt
        )
    for campaign, change in changes.items():
        records.revise(con, campaign, change)
    ledger.append(con, [concluded(intent, receipt, actor) for intent, receipt in final], now)


def bring_back(
    con: Connection, ordered: Sequence[tuple[Intent, datetime]], answered: Sequence[tuple[Intent, Receipt]]
) -> int:
    """Put back what the ledger says was ordered and answered; returns how many were not known (R17)."""
    columns = [table.c[name] for name in _COLUMNS]
    rows = {key_of(intent): _row(intent, at) for intent, at in ordered}
    with staged(con, columns, rows.values()) as stage:
        statement = insert(table).from_select(_COLUMNS, select(stage)).on_conflict_do_nothing()
        new = len(con.execute(statement.returning(table.c.device)).all())
    _keep(con, list({key_of(intent): (intent, receipt) for intent, receipt in answered}.values()))
    return new


def load(con: Connection, now: datetime) -> Load:
    """Count what was done lately, from the intents: no restart and no second scheduler changes it."""
    lately = select(table.c.action, table.c.site, table.c.ordered_at).where(
        table.c.action.in_([Action.INSTALL, Action.QUARANTINE]), table.c.ordered_at > now - HOUR
    )
    removed_at_site = defaultdict[SiteId, int](int)
    removed_in_minute = forced_in_minute = 0
    for action, site, at in con.execute(lately):
        if action == Action.QUARANTINE:
            removed_at_site[SiteId(site)] += 1
            removed_in_minute += at > now - MINUTE
        else:
            forced_in_minute += at > now - MINUTE
    sites = devices.sites(con)
    protected = con.execute(select(device_table.c.id).where(device_table.c.protected)).scalars()
    return Load(
        fleet=sum(sites.values()),
        sites=sites,
        removed_in_minute=removed_in_minute,
        removed_in_hour=sum(removed_at_site.values()),
        removed_at_site=removed_at_site,
        forced_in_minute=forced_in_minute,
        protected=frozenset(map(DeviceId, protected)),
        last=rings.last(con),
    )


def _put(con: Connection, intents: Sequence[Intent], now: datetime) -> list[Intent]:
    """Put intents on record. Hardly ever was one ordered before, so that is asked only when the key says so."""
    try:
        with con.begin_nested():
            copy_in(con, table, _COLUMNS, (_row(intent, now) for intent in intents))
    except UniqueViolation:
        intents = unordered(con, intents)
        copy_in(con, table, _COLUMNS, (_row(intent, now) for intent in intents))
    return list(intents)


def _mark(con: Connection, new: Sequence[Intent], now: datetime) -> None:
    by_mark = defaultdict[tuple[CampaignId, str], list[DeviceId]](list)
    for intent in new:
        if column := INTENT_MARKS.get(intent.action):
            by_mark[intent.campaign, column].append(intent.device)
    for (campaign, column), marked in by_mark.items():
        records.mark(con, campaign, column, marked, now)


def _known(con: Connection, intents: Sequence[Intent]) -> set[tuple[object, ...]]:
    columns = [table.c[name] for name in KEY]
    with staged(con, columns, map(key_of, intents)) as stage:
        same = and_(*(table.c[name] == stage.c[name] for name in KEY))
        return {tuple(row) for row in con.execute(select(*columns).join(stage, same))}


def _keep(con: Connection, answered: Sequence[tuple[Intent, Receipt]]) -> None:
    like = [table.c[name] for name in (*KEY, "outcome", "ended_at", "detail")]
    rows = (
        (*key_of(intent), receipt.outcome, receipt.at, receipt.detail[:2_000]) for intent, receipt in answered
    )
    with staged(con, like, rows) as stage:
        same = and_(*(table.c[name] == stage.c[name] for name in KEY))
        failed = stage.c.outcome == Outcome.FAILED
        ended = {"outcome": stage.c.outcome, "ended_at": stage.c.ended_at, "detail": stage.c.detail}
        con.execute(update(table).where(same, ~failed).values(ended))
        minutes = func.least(func.power(2, func.least(table.c.attempts, 10)), _LONGEST_WAIT / MINUTE)
        wait = func.make_interval(0, 0, 0, 0, 0, 0, minutes * 60.0, type_=Interval)
        again = {
            "attempts": table.c.attempts + 1,
            "retry_at": stage.c.ended_at + wait,
            "detail": stage.c.detail,
        }
        con.execute(update(table).where(same, failed).values(again))


def key_of(intent: Intent) -> tuple[object, ...]:
    """Give the values of `KEY`."""
    return intent[: len(KEY)]


def _row(intent: Intent, now: datetime) -> tuple[object, ...]:
    done = intent.action in PUBLISHED
    return *intent, now, Outcome.DONE if done else None, now if done else None


def read_intent(row: Row[tuple[object, ...]]) -> Intent:
    """Read an intent from a row that has its columns."""
    return Intent(
        CampaignId(row.campaign), row.revision, DeviceId(row.device), Action(row.action), row.round, SiteId(row.site),
        row.rule, row.paragraph,
    )  # fmt: skip
