"""Notices: what each person is told, and what became of it. They carry intents; one message carries some of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Row, Select, and_, func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.action import Action
from forestall.domain.intent import Intent
from forestall.domain.notice import MAILED, MessageId, Notice, NoticeId, Owed, Person, Told, Tracked
from forestall.domain.order import CampaignId
from forestall.domain.record import Outcome
from forestall.store.bulk import staged
from forestall.store.intents import KEY, key_of, read_intent
from forestall.store.tables import device as device_table
from forestall.store.tables import intent as intent_table
from forestall.store.tables import notice as table

_LOCK = 0x504F5354  # any fixed number; "POST"
_WRITTEN = (
    "id", "campaign", "revision", "action", "address", "name", "language", "daily", "everybody", "written_at", "due_at",
)  # fmt: skip


class Carried(NamedTuple):
    """An intent that a notice carries, and the machine's name."""

    intent: Intent
    name: str
    addresses: tuple[str, ...]
    outcome: Outcome | None
    """None while it waits."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign's mails of one kind got."""

    campaign: CampaignId
    action: Action
    waiting: int
    accepted: int
    refused: int
    dropped: int
    trouble: str
    """What kept some of those that wait from being accepted; empty where nothing did."""


def alone(con: Connection) -> bool:
    """Take the one right to hand mails over, until this transaction ends; false where another process has it.

    A killed process loses its connection and so the right.
    """
    return bool(con.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar_one())


def owed(con: Connection) -> list[Owed]:
    """Read the open intents that no notice carries yet, with whom to tell."""
    statement = (
        select(intent_table, device_table.c.owner, device_table.c.language)
        .join(device_table, device_table.c.id == intent_table.c.device)
        .where(
            intent_table.c.ended_at.is_(None),
            intent_table.c.notice.is_(None),
            intent_table.c.action.in_(list(MAILED)),
        )
        .order_by(intent_table.c.ordered_at, intent_table.c.device)
    )
    return [Owed(read_intent(row), row.owner, row.language) for row in con.execute(statement)]


def announced(con: Connection, campaign: CampaignId, revision: int) -> bool:
    """Say whether a campaign was announced to everybody (P6.1)."""
    statement = select(table.c.id).where(
        table.c.campaign == campaign, table.c.revision == revision, table.c.everybody
    )
    return con.execute(statement.limit(1)).first() is not None


def write(con: Connection, notices: Mapping[Notice, Sequence[Intent]], now: datetime) -> None:
    """Put notices on record, due now, and mark the intents that they carry."""
    like = [table.c[name] for name in _WRITTEN]
    with staged(con, like, (_row(each, now) for each in notices)) as stage:
        con.execute(insert(table).from_select(_WRITTEN, select(stage)).on_conflict_do_nothing())
    keys = [intent_table.c[name] for name in (*KEY, "notice")]
    rows = ((*key_of(intent), notice.id) for notice, carried in notices.items() for intent in carried)
    with staged(con, keys, rows) as stage:
        same = and_(*(intent_table.c[name] == stage.c[name] for name in KEY))
        con.execute(update(intent_table).where(same).values(notice=stage.c.notice))


def due(con: Connection, now: datetime, limit: int) -> list[Tracked]:
    """Read the notices to hand over next, final warnings first; never a part of what goes into one message."""
    waiting = table.c.ended_at.is_(None), table.c.due_at <= now
    order = table.c.daily, table.c.due_at, table.c.address
    who = table.c.daily, table.c.address
    first = {tuple(row) for row in con.execute(select(*who).where(*waiting).order_by(*order).limit(limit))}
    theirs = tuple_(*who).in_(first)
    return _read(con, select(table).where(*waiting, theirs).order_by(*order, table.c.id))


def told_at(con: Connection, addresses: Iterable[str]) -> dict[str, datetime]:
    """Say when each person last got a daily mail, or may have."""
    at = func.max(func.coalesce(table.c.ended_at, table.c.doubt_at))
    got = or_(table.c.outcome == Outcome.DONE, table.c.doubt_at.is_not(None))
    statement = select(table.c.address, at.label("at")).where(
        table.c.address.in_(list(addresses)), table.c.daily, got
    )
    return {row.address: row.at for row in con.execute(statement.group_by(table.c.address))}


def postpone(con: Connection, until: Mapping[NoticeId, datetime]) -> None:
    """Let notices wait."""
    with staged(con, [table.c.id, table.c.due_at], until.items()) as stage:
        con.execute(update(table).where(table.c.id == stage.c.id).values(due_at=stage.c.due_at))


def begin(con: Connection, messages: Mapping[NoticeId, MessageId], now: datetime) -> None:
    """Note that messages are about to be handed over: from here on nobody knows, until the answer is recorded."""
    with staged(con, [table.c.id, table.c.message], messages.items()) as stage:
        begun = {
            "message": stage.c.message,
            "begun_at": func.coalesce(table.c.begun_at, now),
            "doubt_at": func.coalesce(table.c.doubt_at, now),
        }
        con.execute(update(table).where(table.c.id == stage.c.id).values(begun))


def answered(con: Connection, told: Iterable[Told]) -> None:
    """Keep what became of notices; a failed one is open until it is due again."""
    like = [
        table.c[name] for name in ("id", "outcome", "ended_at", "detail", "due_at", "doubt_at", "attempts")
    ]
    with staged(con, like, told) as stage:
        failed = stage.c.outcome == Outcome.FAILED
        again = {name: stage.c[name] for name in ("detail", "due_at", "doubt_at", "attempts")}
        ended = {name: stage.c[name] for name in ("outcome", "ended_at", "detail", "doubt_at", "attempts")}
        same = table.c.id == stage.c.id
        con.execute(update(table).where(same, failed).values(again))
        con.execute(update(table).where(same, ~failed).values(ended))


def carried(con: Connection, notices: Iterable[NoticeId]) -> dict[NoticeId, list[Carried]]:
    """Read the intents that notices carry, by machine."""
    statement = (
        select(intent_table, device_table.c.name, device_table.c.addresses)
        .join(device_table, device_table.c.id == intent_table.c.device)
        .where(intent_table.c.notice.in_(list(notices)))
        .order_by(device_table.c.name, device_table.c.id)
    )
    found = defaultdict[NoticeId, list[Carried]](list)
    for row in con.execute(statement):
        outcome = None if row.outcome is None else Outcome(row.outcome)
        each = Carried(read_intent(row), row.name, tuple(row.addresses), outcome)
        found[NoticeId(row.notice)].append(each)
    return found


def of_message(con: Connection, message: str) -> list[Tracked]:
    """Read the notices that a message carries."""
    return _read(con, select(table).where(table.c.message == message).order_by(table.c.id))


def waiting(con: Connection, now: datetime) -> int:
    """Count what could be handed over now."""
    statement = select(func.count()).where(table.c.ended_at.is_(None), table.c.due_at <= now)
    return int(con.execute(statement).scalar_one())


def progress(con: Connection) -> list[Progress]:
    """Count notices by campaign and kind, newest campaign first."""
    is_open, outcome = table.c.ended_at.is_(None), table.c.outcome
    newest = func.max(table.c.detail).filter(is_open)
    statement = select(
        table.c.campaign,
        table.c.action,
        func.count().filter(is_open),
        *(func.count().filter(outcome == each) for each in (Outcome.DONE, Outcome.REFUSED, Outcome.DROPPED)),
        func.coalesce(newest, text("''")),
    ).group_by(table.c.campaign, table.c.action)
    return [
        Progress(CampaignId(row[0]), Action(row[1]), *row[2:])
        for row in con.execute(statement.order_by(func.max(table.c.written_at).desc(), table.c.action))
    ]


def _row(notice: Notice, now: datetime) -> tuple[object, ...]:
    person = notice.person
    return (
        notice.id, notice.campaign, notice.revision, notice.action, person.address, person.name, person.language,
        notice.daily, notice.everybody, now, now,
    )  # fmt: skip


def _read(con: Connection, statement: Select[tuple[object, ...]]) -> list[Tracked]:
    return [_stored(row) for row in con.execute(statement)]


def _stored(row: Row[tuple[object, ...]]) -> Tracked:
    person = Person(row.address, row.name, row.language)
    notice = Notice(
        NoticeId(row.id),
        CampaignId(row.campaign),
        row.revision,
        Action(row.action),
        person,
        everybody=row.everybody,
    )
    return Tracked(
        notice, row.written_at, None if row.message is None else MessageId(row.message), row.begun_at, row.doubt_at,
        row.attempts, None if row.outcome is None else Outcome(row.outcome), row.ended_at, row.detail,
    )  # fmt: skip
