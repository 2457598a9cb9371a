"""The ledger: append-only, every entry chained to the one before (A12).

One exception: a restored database takes back the entries that its copy outside still has (`adopt`).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Row, delete, select, text

from forestall.domain.errors import StoreError
from forestall.domain.events import EMPTY, Entry, Event, EventKind, Head, JsonValue, chain
from forestall.store.bulk import copy_in
from forestall.store.tables import ledger

_JSON = msgspec.json.Encoder()
_LOCK = 0x4C454447  # any fixed number; "LEDG"
_COLUMNS = tuple(column.name for column in ledger.columns)
SUBJECT = "ledger"
"""What restores and replays are about."""


class UnreadableEntryError(StoreError):
    """A row of the ledger is no entry: somebody changed it."""

    def __init__(self, sequence: int, why: str) -> None:
        super().__init__(
            f"Entry {sequence} of the ledger was changed: {why}. Keep the database as it is, and look at the last "
            "whole copy: forestall ledger verify FILE"
        )
        self.sequence = sequence
        self.why = why


class Restored(NamedTuple):
    """The tables are an older backup, and nobody has replayed the ledger since."""

    reflects: int
    """The tables know what happened up to this entry."""
    entry: Entry
    """The newest entry that tells of a restore."""


def append(
    con: Connection, events: Iterable[Event], now: datetime, meanwhile: Callable[[], None] | None = None
) -> Head:
    """Put events behind the newest entry and return the new head; `meanwhile` is done while they are hashed.

    The chain stays locked until the transaction ends: write the rest of it before.
    """
    new = list(events)
    if not new:
        return head(con)
    con.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    last = head(con)
    if meanwhile is None:
        entries = chain(new, now.astimezone(UTC), last.sequence, last.hash)
    else:
        with ThreadPoolExecutor(max_workers=1) as beside:
            chained = beside.submit(chain, new, now.astimezone(UTC), last.sequence, last.hash)
            meanwhile()
            entries = chained.result()
    copy_in(con, ledger, _COLUMNS, (_row(entry) for entry in entries))
    return Head(entries[-1].sequence, entries[-1].hash)


def adopt(con: Connection, outside: Sequence[Entry], actor: str, now: datetime) -> Head:
    """Take back the entries that a restored database has lost, and say that it was restored (R17).

    `outside` is the whole copy, verified. What this database wrote by itself since the restore moves behind it with
    its own instants: the chain goes on from the copy's newest entry, as if the ledger had never been restored.
    """
    con.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    known = min(head(con).sequence, len(outside))
    common = bisect_right(range(1, known + 1), 0, key=lambda number: _differs(con, outside[number - 1]))
    moved = read(con, common, 1_000_000)
    if moved:
        con.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        con.execute(delete(ledger).where(ledger.c.sequence > common))
        con.execute(text("ALTER TABLE ledger ENABLE TRIGGER ledger_is_append_only"))
    copy_in(con, ledger, _COLUMNS, (_row(entry) for entry in outside[common:]))
    for entry in moved:
        append(con, [entry.event], entry.at)
    body: dict[str, JsonValue] = {"reflects": common, "moved": len(moved)}
    return append(con, [Event(EventKind.RESTORED, actor, SUBJECT, paragraph="A12", body=body)], now)


def unreplayed(con: Connection) -> Restored | None:
    """Find the restore that nobody has replayed yet; of several, the oldest tables count."""
    statement = select(ledger).where(
        ledger.c.subject == SUBJECT, ledger.c.kind.in_([EventKind.RESTORED, EventKind.REPLAYED])
    )
    found: list[Entry] = []
    for entry in map(_entry, con.execute(statement.order_by(ledger.c.sequence.desc()).limit(100))):
        if entry.event.kind is EventKind.REPLAYED:
            break
        found.append(entry)
    if not found:
        return None
    return Restored(min(int(str((each.event.body or {})["reflects"])) for each in found), found[0])


def _differs(con: Connection, outside: Entry) -> int:
    """Say whether entry of the same number is another one here: 0 up to some number, 1 from there on."""
    return int(read(con, outside.sequence - 1, 1)[0].hash != outside.hash)


def head(con: Connection) -> Head:
    """Read the newest entry's number and hash."""
    newest = select(ledger.c.sequence, ledger.c.hash).order_by(ledger.c.sequence.desc()).limit(1)
    found = con.execute(newest).first()
    return Head(found.sequence, found.hash) if found else EMPTY


def read(con: Connection, after: int = 0, limit: int = 10_000) -> list[Entry]:
    """Read entries in order, from the one behind number `after`."""
    statement = select(ledger).where(ledger.c.sequence > after).order_by(ledger.c.sequence).limit(limit)
    return [_entry(row) for row in con.execute(statement)]


def read_all(con: Connection, after: int = 0, page: int = 10_000) -> Iterator[Entry]:
    """Read the whole ledger in order, or from the entry behind number `after`, a page at a time."""
    entries = read(con, after, page)
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
        event.paragraph, None if event.body is None else _JSON.encode(event.body).decode(), entry.previous, entry.hash,
    )  # fmt: skip


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    try:
        kind = EventKind(row.kind)
    except ValueError:
        raise UnreadableEntryError(row.sequence, f"“{row.kind[:60]}” is no kind of event") from None
    event = Event(kind, row.actor, row.subject, row.campaign, row.rule, row.paragraph, row.body)
    return Entry(row.sequence, row.at, event, row.previous, row.hash)
