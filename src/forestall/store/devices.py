"""The machines: who they are, where they are, when they were last seen and heard."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Row, Select, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import Device, DeviceId, SiteId
from forestall.store.bulk import staged
from forestall.store.tables import device as table

_FIELDS = tuple(field.name for field in fields(Device))
_KNOWN = [table.c[name] for name in _FIELDS]


class Contact(NamedTuple):
    """An agent checked in."""

    device: DeviceId
    at: datetime
    agent_version: str
    boot_id: str
    sequence: int


def save(con: Connection, devices: Iterable[Device]) -> None:
    """Add machines, or put what is known now in the place of what was known; never an earlier sighting."""
    with staged(con, _KNOWN, (_row(each) for each in devices)) as stage:
        statement = insert(table).from_select(_FIELDS, select(stage))
        changed = {name: statement.excluded[name] for name in _FIELDS if name not in {"id", "seen_at"}}
        latest = func.greatest(table.c.seen_at, statement.excluded.seen_at)
        con.execute(
            statement.on_conflict_do_update(index_elements=[table.c.id], set_=changed | {"seen_at": latest})
        )


def everything(con: Connection, limit: int | None = None) -> list[Device]:
    """Read all machines, by name, or the first few."""
    return _devices(con, select(*_KNOWN).limit(limit))


def find(con: Connection, text: str) -> list[Device]:
    """Find machines by id or by name; names are what machines say of themselves and need not be unique."""
    return _devices(con, select(*_KNOWN).where(or_(table.c.id == text, table.c.name == text)))


def get(con: Connection, device: DeviceId) -> Device | None:
    """Read one machine."""
    found = _devices(con, select(*_KNOWN).where(table.c.id == device))
    return found[0] if found else None


def some(con: Connection, devices: Sequence[DeviceId]) -> dict[DeviceId, Device]:
    """Read some machines, by id."""
    statement = select(*_KNOWN).where(table.c.id == func.any(list(devices)))
    return {device.id: device for device in _devices(con, statement)}


def sites(con: Connection) -> dict[SiteId, int]:
    """Count the machines at each site."""
    rows = con.execute(select(table.c.site, func.count()).group_by(table.c.site))
    return {SiteId(site): count for site, count in rows}


def seen(con: Connection, devices: Sequence[DeviceId], at: datetime) -> None:
    """Note that the network saw machines."""
    latest = func.greatest(table.c.seen_at, at)
    con.execute(update(table).where(table.c.id == func.any(list(devices))).values(seen_at=latest))


def heard(con: Connection, contacts: Sequence[Contact]) -> None:
    """Note check-ins, all in one statement; of several of one machine the newest counts."""
    newest = {contact.device: contact for contact in sorted(contacts, key=lambda contact: contact.at)}
    like = (table.c.id, table.c.heard_at, table.c.agent_version, table.c.boot_id, table.c.sequence)
    with staged(con, like, newest.values()) as stage:
        con.execute(
            update(table)
            .where(table.c.id == stage.c.id)
            .values(
                seen_at=func.greatest(table.c.seen_at, stage.c.heard_at),
                heard_at=func.greatest(table.c.heard_at, stage.c.heard_at),
                agent_version=stage.c.agent_version,
                boot_id=stage.c.boot_id,
                sequence=stage.c.sequence,
            )
        )


def _row(device: Device) -> tuple[object, ...]:
    return (
        device.id, device.name, device.site, device.managed, device.owner, device.language,
        list(device.addresses), device.protected, device.seen_at,
    )  # fmt: skip


def _devices(con: Connection, statement: Select[tuple[object, ...]]) -> list[Device]:
    return [_device(row) for row in con.execute(statement.order_by(table.c.name, table.c.id))]


def _device(row: Row[tuple[object, ...]]) -> Device:
    return Device(
        DeviceId(row.id), row.name, SiteId(row.site), row.managed, row.owner, row.language, tuple(row.addresses),
        row.protected, row.seen_at,
    )  # fmt: skip
