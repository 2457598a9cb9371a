"""The ledger: append-only, every entry chained to the one before (A12)."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, select, text

from forestall.domain.errors import StoreError
from forestall.domain.events import EMPTY, Entry, Event, EventKind, Head, chain
from forestall.store.bulk import copy_in
from forestall.store.tables import ledger

_LOCK = 0x4C454447  # any fixed number; "LEDG"
_COLUMNS = tuple(column.name for column in ledger.columns)


class UnreadableEntryError(StoreError):
    """A row of the ledger is no entry: somebody changed it."""

    def __init__(self, sequence: int, why: str) -> None:
        super().__init__(
            f"Entry {sequence} of the ledger was changed: {why}. Keep the database as it is, and look at the last "
            "whole copy: forestall ledger verify FILE"
        )
        self.sequence = sequence
        self.why = why


def append(con: Connection, events: Sequence[Event], now: datetime) -> Head:
    """Put events behind the newest entry and return the new head.

    The chain stays locked until the transaction ends: write the rest of it before.
    """
    con.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = head(con)
    entries = chain(events, now.astimezone(UTC), last.sequence, last.hash)
    copy_in(con, ledger, _COLUMNS, (_row(entry) for entry in entries))
    return Head(entries[-1].sequence, entries[-1].hash) if entries else last


def head(con: Connection) -> Head:
    """Read the newest entry's number and hash."""
    newest = select(ledger.c.sequence, ledger.c.hash).order_by(ledger.c.sequence.desc()).limit(1)
    found = con.execute(newest).first()
    return Head(found.sequence, found.hash) if found else EMPTY


def read(con: Connection, after: int = 0, limit: int = 10_000) -> list[Entry]:
    """Read entries in order, from the one behind number `after`."""
    statement = select(ledger).where(ledger.c.sequence > after).order_by(ledger.c.sequence).limit(limit)
    return [_entry(row) for row in con.execute(statement)]


def read_all(con: Connection, page: int = 10_000) -> Iterator[Entry]:
    """Read the whole ledger in order, a page at a time."""
    entries = read(con, 0, page)
    while entries:
        yield from entries
        entries = read(con, entries[-1].sequence, page)


def about(con: Connection, *, campaign: str = "", subject: str = "", limit: int = 1_000) -> list[Entry]:
    """Read the newest entries about a campaign, a subject, or both, in order."""
    statement = select(ledger).order_by(ledger.c.sequence.desc()).limit(limit)
    if campaign:
        statement = statement.where(ledger.c.campaign == campaign)
    if subject:
        statement = statement.where(ledger.c.subject == subject)
    return [_entry(row) for row in con.execute(statement)][::-1]


def _row(entry: Entry) -> tuple[object, ...]:
    event = entry.event
    return (
        entry.sequence, entry.at, event.kind, event.actor, event.subject, event.campaign, event.rule,
        event.paragraph, None if event.body is None else json.dumps(event.body), entry.previous, entry.hash,
    )  # fmt: skip


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    try:
        kind = EventKind(row.kind)
    except ValueError:
        raise UnreadableEntryError(row.sequence, f"“{row.kind[:60]}” is no kind of event") from None
    event = Event(kind, row.actor, row.subject, row.campaign, row.rule, row.paragraph, row.body)
    return Entry(row.sequence, row.at, event, row.previous, row.hash)
