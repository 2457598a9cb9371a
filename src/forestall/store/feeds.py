"""How each source stands: its last good copy, its last error, what is held for a person (P1.1, A15)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from forestall.store.tables import feed as table


@dataclass(frozen=True, slots=True)
class FeedState:
    """One source; empty texts where nothing is to be said."""

    name: str
    last_good_at: datetime | None = None
    sha256: str = ""
    """Of the last good copy's bytes, so that the same bytes are not read twice."""
    records: int = 0
    last_error: str = ""
    """Why the newest attempt failed; empty after a success."""
    last_error_at: datetime | None = None
    held: str = ""
    """Why a newer copy waits for a person."""

    @property
    def tried_at(self) -> datetime | None:
        """When it was last read, with or without success."""
        return max((at for at in (self.last_good_at, self.last_error_at) if at), default=None)


def states(con: Connection) -> dict[str, FeedState]:
    """Read the state of every source that was ever tried, by name."""
    rows = con.execute(select(table).order_by(table.c.name))
    return {row.name: FeedState(**row._mapping) for row in rows}  # noqa: SLF001 - SQLAlchemy's public name


def loaded(con: Connection, name: str, now: datetime, sha256: str, records: int) -> None:
    """Note that a copy was read and is in force from now on."""
    _save(con, name, last_good_at=now, sha256=sha256, records=records, last_error="", held="")


def failed(con: Connection, name: str, now: datetime, why: str) -> None:
    """Note that a copy could not be had or read; the last good one stays in force."""
    _save(con, name, last_error=why, last_error_at=now)


def hold(con: Connection, name: str, now: datetime, why: str) -> None:
    """Note that a copy could be read but waits for a person, because it shrank for example."""
    _save(con, name, held=why, last_error_at=now)


def _save(con: Connection, name: str, **changed: str | int | datetime) -> None:
    empty = {"sha256": "", "records": 0, "last_error": "", "held": ""}
    statement = insert(table).values({"name": name} | empty | changed)
    con.execute(statement.on_conflict_do_update(index_elements=[table.c.name], set_=changed))
