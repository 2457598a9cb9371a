"""At which port each source saw a machine last."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, case, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import DeviceId
from forestall.domain.sighting import Machine, Source
from forestall.store.bulk import staged
from forestall.store.tables import attachment as table

_SEEN = [table.c[name] for name in ("device", "source", "port", "vlan", "seen_at")]


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where one source has a machine."""

    device: DeviceId
    source: Source
    port: str
    vlan: int
    since: datetime
    seen_at: datetime
    before: str
    """The port before this one; empty where none is known."""


class Moved(NamedTuple):
    """A machine was seen at another port than before."""

    device: DeviceId
    source: Source
    before: str
    port: str


def note(con: Connection, machines: Iterable[Machine]) -> list[Moved]:
    """Keep where machines are; returns who was somewhere else before."""
    rows = (
        (machine.id, place.source, place.port, place.vlan, place.seen_at)
        for machine in machines
        for place in machine.places
    )
    with staged(con, _SEEN, rows) as stage:
        same = (table.c.device == stage.c.device, table.c.source == stage.c.source)
        newer = (stage.c.seen_at > table.c.seen_at, stage.c.port != table.c.port)
        moved = con.execute(
            select(stage.c.device, stage.c.source, table.c.port, stage.c.port)
            .where(*same, *newer)
            .order_by(stage.c.device, stage.c.source)
        ).all()
        columns = [*(stage.c[column.name] for column in _SEEN), stage.c.seen_at]
        statement = insert(table).from_select(
            [*(column.name for column in _SEEN), "since", "before"],
            select(*columns, literal("")).order_by(stage.c.device, stage.c.source),
        )
        stayed = table.c.port == statement.excluded.port
        con.execute(
            statement.on_conflict_do_update(
                index_elements=[table.c.device, table.c.source],
                set_={
                    "port": statement.excluded.port,
                    "vlan": statement.excluded.vlan,
                    "seen_at": statement.excluded.seen_at,
                    "since": case((stayed, table.c.since), else_=statement.excluded.since),
                    "before": case((stayed, table.c.before), else_=table.c.port),
                },
                where=table.c.seen_at < statement.excluded.seen_at,
            )
        )
    return [Moved(DeviceId(row[0]), Source(row[1]), row[2], row[3]) for row in moved]


def of(con: Connection, device: DeviceId) -> list[Attachment]:
    """Read where a machine is, the newest word first."""
    rows = con.execute(
        select(table).where(table.c.device == device).order_by(table.c.seen_at.desc(), table.c.source)
    )
    return [Attachment(DeviceId(row.device), Source(row.source), *row[2:]) for row in rows]


def forget(con: Connection, before: datetime, absorbed: Iterable[DeviceId]) -> None:
    """Let go of what was last seen before an instant, and of machines that turned out to be others."""
    con.execute(delete(table).where(table.c.seen_at < before))
    con.execute(delete(table).where(table.c.device == func.any(list(absorbed))))
