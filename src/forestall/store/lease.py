"""Who may act: one holder a name, fenced by an epoch that every action checks in its own transaction (R12)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from forestall.store.tables import lease as table


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act under a name; void as soon as somebody else has a higher epoch."""

    name: str
    holder: str
    epoch: int


def acquire(con: Connection, name: str, holder: str, now: datetime, period: timedelta) -> Lease | None:
    """Take a lease that is free, has run out, or was ours; None while somebody else holds it.

    Waits for actions under way: they hold the row until they commit.
    """
    free = or_(table.c.until <= now, table.c.holder == holder)
    statement = (
        insert(table)
        .values(name=name, holder=holder, epoch=1, until=now + period)
        .on_conflict_do_update(
            index_elements=[table.c.name],
            set_={"holder": holder, "epoch": table.c.epoch + 1, "until": now + period},
            where=free,
        )
        .returning(table.c.epoch)
    )
    epoch = con.execute(statement).scalar_one_or_none()
    return None if epoch is None else Lease(name, holder, epoch)


def renew(con: Connection, lease: Lease, now: datetime, period: timedelta) -> bool:
    """Prolong a lease; false where it was lost."""
    statement = update(table).where(*_same(lease)).values(until=now + period)
    return con.execute(statement).rowcount == 1


def release(con: Connection, lease: Lease, at: datetime) -> None:
    """Give a lease back at an instant before its end."""
    con.execute(update(table).where(*_same(lease)).values(until=at))


def holds(con: Connection, lease: Lease) -> bool:
    """Say whether a lease is still the newest, and keep it so until this transaction ends.

    Its time does not matter here: nobody can have acted under a higher epoch before we commit.
    """
    return (
        con.execute(select(table.c.epoch).where(*_same(lease)).with_for_update(read=True)).first() is not None
    )


def _same(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return table.c.name == lease.name, table.c.holder == lease.holder, table.c.epoch == lease.epoch
