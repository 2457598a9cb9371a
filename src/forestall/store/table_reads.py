"""When the tables of each switch and router were read, and what came of it."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from forestall.store.tables import table_read as table


class TableRead(NamedTuple):
    """How reading one source's tables stands."""

    name: str
    tried_at: datetime
    good_at: datetime | None
    """When it last answered."""
    forwarding: int
    """Rows of its forwarding table, then."""
    neighbours: int
    seconds: float
    trouble: str
    """Why the newest attempt failed; empty after a success."""
    next_at: datetime


def everything(con: Connection) -> dict[str, TableRead]:
    """Read how all sources stand that were ever tried, by name."""
    return {row.name: TableRead(*row) for row in con.execute(select(table).order_by(table.c.name))}


def note(con: Connection, reads: Iterable[TableRead]) -> None:
    """Note attempts; a failed one leaves what the last good one found."""
    for each in reads:
        values = each._asdict()
        kept = ("good_at", "forwarding", "neighbours") if each.trouble else ()
        changed = {name: value for name, value in values.items() if name not in {"name", *kept}}
        statement = insert(table).values(values)
        con.execute(statement.on_conflict_do_update(index_elements=[table.c.name], set_=changed))


def due(con: Connection, names: Iterable[str], now: datetime) -> dict[str, bool]:
    """Find which of these sources are to be read now; the value says whether the last attempt failed."""
    wanted = list(names)
    rows = con.execute(
        select(table.c.name, table.c.next_at, table.c.trouble).where(table.c.name == func.any(wanted))
    )
    known = {row.name: row for row in rows}
    return {
        name: name in known and known[name].trouble != ""
        for name in wanted
        if name not in known or known[name].next_at <= now
    }
