"""Which certificate of a machine counts; the certificates themselves are nowhere but on the machines."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import DeviceId
from forestall.domain.identity import Count, Known, Void
from forestall.store.bulk import driver
from forestall.store.tables import device, device_identity

# Numbers count within one certificate: a new one begins anew.
_RENEWED = """
WITH newer AS (SELECT * FROM unnest(%s::text[], %s::text[]) AS newer (device, serial)),
     begun AS (UPDATE device SET boot_id = '', sequence = 0 FROM newer WHERE device.id = newer.device)
UPDATE device_identity AS i SET serial = newer.serial FROM newer WHERE i.device = newer.device
"""


def add(con: Connection, serials: Mapping[DeviceId, int]) -> None:
    """Note the first certificates of machines, 0 where it is not known; those that have one are left alone."""
    rows = [{"device": name, "serial": _text(serial)} for name, serial in sorted(serials.items())]
    if rows:
        con.execute(insert(device_identity).on_conflict_do_nothing(), rows)


def known(con: Connection, machines: Iterable[DeviceId]) -> dict[DeviceId, Known]:
    """Read what is known of machines, and keep everybody else from changing it until the transaction ends."""
    columns = (device_identity.c.device, device_identity.c.serial, device_identity.c.void, device.c.boot_id)
    rows = (
        select(*columns, device.c.sequence)
        .join(device, device.c.id == device_identity.c.device)
        .where(device_identity.c.device == func.any(list(machines)))
        .order_by(device_identity.c.device)
        .with_for_update(key_share=True)
    )
    return {
        DeviceId(row.device): Known(
            int(row.serial, 16), Count(row.boot_id, row.sequence), Void(row.void) if row.void else None
        )
        for row in con.execute(rows)
    }


def renewed(con: Connection, serials: Mapping[DeviceId, int]) -> None:
    """Note that machines have spoken with a newer certificate; their older ones are void from now on."""
    if serials:
        driver(con).execute(_RENEWED, [list(serials), [_text(serial) for serial in serials.values()]])


def avoid(con: Connection, machines: Iterable[DeviceId], void: Void, now: datetime) -> list[DeviceId]:
    """Let no certificate of these machines count any more; returns those for which that is new."""
    of_them = (device_identity.c.device == func.any(list(machines))) & device_identity.c.void.is_(None)
    changed = update(device_identity).where(of_them).values(void=void, void_at=now)
    return sorted(map(DeviceId, con.execute(changed.returning(device_identity.c.device)).scalars()))


def voided(con: Connection) -> dict[DeviceId, Void]:
    """List the machines whose certificates do not count any more."""
    wanted = select(device_identity.c.device, device_identity.c.void).where(
        device_identity.c.void.is_not(None)
    )
    return {DeviceId(row.device): Void(row.void) for row in con.execute(wanted)}


def _text(serial: int) -> str:
    return f"{serial:032x}"
