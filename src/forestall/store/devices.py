"""The machines: who they are, where they are, when they were last seen and heard."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Row, Select, case, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import Device, DeviceId, OwnerSource, SiteId
from forestall.domain.vouching import Word
from forestall.store.bulk import driver, staged
from forestall.store.tables import device as table

_FIELDS = tuple(field.name for field in fields(Device))
_KNOWN = [table.c[name] for name in _FIELDS]

# Arrays and no stage: this runs many times a second, and a table made and dropped each time costs more than it saves.
_HEARD = """
UPDATE device AS d SET
    seen_at = greatest(d.seen_at, said.at), heard_at = greatest(d.heard_at, said.at),
    agent_version = said.agent_version, boot_id = said.boot_id, sequence = greatest(d.sequence, said.sequence),
    spoke_from = said.spoke_from, spoke_by = said.spoke_by
FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[])
     AS said (device, at, agent_version, boot_id, sequence, spoke_from, spoke_by)
WHERE d.id = said.device
"""


class Contact(NamedTuple):
    """An agent checked in."""

    device: DeviceId
    at: datetime
    agent_version: str
    boot_id: str
    sequence: int
    spoke_from: str = ""
    """The address its connection came from, where it says that this is its own."""
    spoke_by: str = ""
    """The hardware address it says it has there: a claim."""


def save(con: Connection, devices: Iterable[Device]) -> None:
    """Add machines, or put what is known now in the place of what was known.

    Never an earlier sighting, and protection stays: taking it away is `protect`'s, and needs two people (A9). Who is
    saved without an owner, or with the person who said that it is not theirs, keeps the one that is known: changing
    that is `own`'s.
    """
    with staged(con, _KNOWN, (_row(each) for each in devices)) as stage:
        statement = insert(table).from_select(_FIELDS, select(stage).order_by(stage.c.id))
        unsaid = statement.excluded.owner.in_(["", table.c.disowned])
        kept = {
            "seen_at": func.greatest(table.c.seen_at, statement.excluded.seen_at),
            "protected": or_(table.c.protected, statement.excluded.protected),
            "disowned": table.c.disowned,
        } | {
            name: case((unsaid, table.c[name]), else_=statement.excluded[name])
            for name in ("owner", "owner_source", "language")
        }
        changed = {name: statement.excluded[name] for name in _FIELDS if name != "id"} | kept
        con.execute(statement.on_conflict_do_update(index_elements=[table.c.id], set_=changed))


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


def some(con: Connection, devices: Iterable[DeviceId]) -> dict[DeviceId, Device]:
    """Read some machines."""
    wanted = select(*_KNOWN).where(table.c.id == func.any(list(devices)))
    return {device.id: device for device in _devices(con, wanted)}


def protected(con: Connection) -> list[Device]:
    """Read the machines that are never removed (A8)."""
    return _devices(con, select(*_KNOWN).where(table.c.protected))


def at(con: Connection, addresses: Sequence[str]) -> list[Device]:
    """Find the machines that have one of these addresses, each written in its one form."""
    return _devices(con, select(*_KNOWN).where(table.c.addresses.overlap(list(addresses))))


def count(con: Connection) -> int:
    """Count the fleet."""
    return con.execute(select(func.count()).select_from(table)).scalar_one()


def sites(con: Connection) -> dict[SiteId, int]:
    """Count the machines at each site."""
    rows = con.execute(select(table.c.site, func.count()).group_by(table.c.site))
    return {SiteId(site): count for site, count in rows}


def seen(con: Connection, devices: Sequence[DeviceId], at: datetime) -> None:
    """Note that the network saw machines."""
    _lock(con, devices)
    latest = func.greatest(table.c.seen_at, at)
    con.execute(update(table).where(table.c.id == func.any(list(devices))).values(seen_at=latest))


def own(
    con: Connection, device: DeviceId, owner: str, source: OwnerSource | None, language: str, disowned: str
) -> None:
    """Note whose a machine is, or that it is nobody's, and who says that it is not theirs."""
    values = {"owner": owner, "owner_source": source, "language": language, "disowned": disowned}
    con.execute(update(table).where(table.c.id == device).values(values))


def protect(con: Connection, device: DeviceId, protected: bool) -> None:
    """Put a machine on the list of those that are never removed, or take it off (A8)."""
    con.execute(update(table).where(table.c.id == device).values(protected=protected))


def sites_of(con: Connection, devices: Iterable[DeviceId]) -> dict[DeviceId, SiteId]:
    """Find the sites of some machines; those that are not known are left out."""
    wanted = func.any(list(devices))
    return {
        DeviceId(row.id): SiteId(row.site)
        for row in con.execute(select(table.c.id, table.c.site).where(table.c.id == wanted))
    }


def heard(con: Connection, contacts: Sequence[Contact]) -> None:
    """Note check-ins, all in one statement; of several of one machine the newest counts."""
    newest = {contact.device: contact for contact in sorted(contacts, key=lambda contact: contact.at)}
    if newest:
        _lock(con, list(newest))
        driver(con).execute(_HEARD, [list(column) for column in zip(*newest.values(), strict=True)])


def words(con: Connection, since: datetime) -> list[Word]:
    """Read from where managed machines have spoken last, of those that say it."""
    said = (table.c.id, table.c.site, table.c.heard_at, table.c.spoke_from, table.c.spoke_by)
    wanted = select(*said).where(table.c.managed, table.c.spoke_from != "", table.c.heard_at >= since)
    return [Word(DeviceId(row[0]), SiteId(row[1]), *row[2:]) for row in con.execute(wanted)]


def _lock(con: Connection, devices: Sequence[DeviceId]) -> None:
    """Lock rows in the order of their ids: writers of many machines wait for each other, and never in a circle."""
    wanted = select(table.c.id).where(table.c.id == func.any(list(devices))).order_by(table.c.id)
    con.execute(wanted.with_for_update(key_share=True))


def _row(device: Device) -> tuple[object, ...]:
    return (
        device.id, device.name, device.site, device.managed, device.owner, device.owner_source, device.disowned,
        device.language, list(device.addresses), device.protected, device.seen_at,
    )  # fmt: skip


def _devices(con: Connection, statement: Select[tuple[object, ...]]) -> list[Device]:
    return [_device(row) for row in con.execute(statement.order_by(table.c.name, table.c.id))]


def _device(row: Row[tuple[object, ...]]) -> Device:
    return Device(
        DeviceId(row.id), row.name, SiteId(row.site), row.managed, row.owner,
        OwnerSource(row.owner_source) if row.owner_source else None, row.disowned, row.language,
        tuple(row.addresses), row.protected, row.seen_at,
    )  # fmt: skip
