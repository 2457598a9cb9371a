"""The lists of the rings: who is on which, put there by an operator or by the machine's own person (P4.1)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, case, func, literal, or_, select

from forestall.domain.device import DeviceId, SiteId
from forestall.domain.order import CampaignId
from forestall.domain.ring import Ring
from forestall.store.bulk import driver
from forestall.store.tables import device, record
from forestall.store.tables import ring_member as table

_PUT = """
INSERT INTO ring_member AS m (device, ring, by, since)
SELECT d.id, %(ring)s, %(by)s, %(since)s FROM device AS d WHERE d.id = ANY(%(devices)s) ORDER BY d.id
ON CONFLICT (device) DO UPDATE SET ring = excluded.ring, by = excluded.by, since = excluded.since
WHERE m.ring <> excluded.ring
RETURNING device
"""


class Member(NamedTuple):
    """A machine on a ring's list."""

    device: DeviceId
    name: str
    site: SiteId
    ring: Ring
    by: str
    """Who put it there; `its person` where that was the machine's own."""
    since: datetime


def put(con: Connection, ring: Ring, devices: Sequence[DeviceId], by: str, now: datetime) -> list[DeviceId]:
    """Put machines on a list, off any other; returns those that were not on it. Unknown machines are left out."""
    values = {"ring": ring, "by": by, "since": now, "devices": list(devices)}
    return [DeviceId(row[0]) for row in driver(con).execute(_PUT, values)]


def take_off(con: Connection, devices: Sequence[DeviceId]) -> list[DeviceId]:
    """Take machines off whatever list they are on; returns those that were on one."""
    gone = table.delete().where(table.c.device == func.any(list(devices))).returning(table.c.device)
    return [DeviceId(name) for name in con.execute(gone).scalars()]


def of(con: Connection, devices: Iterable[DeviceId]) -> dict[DeviceId, Ring]:
    """Say on which list each of some machines is; those on none are left out."""
    wanted = select(table.c.device, table.c.ring).where(table.c.device == func.any(list(devices)))
    return {DeviceId(name): Ring(ring) for name, ring in con.execute(wanted)}


def last(con: Connection) -> frozenset[DeviceId]:
    """Read the machines that are forced in the last wave."""
    wanted = select(table.c.device).where(table.c.ring == Ring.CRITICAL_LAST)
    return frozenset(map(DeviceId, con.execute(wanted).scalars()))


def counts(con: Connection) -> Counter[Ring]:
    """Count the machines of every ring; whoever is on no list is in the broad one."""
    found = Counter({Ring(ring): count for ring, count in con.execute(
        select(table.c.ring, func.count()).group_by(table.c.ring)
    )})  # fmt: skip
    found[Ring.BROAD] = con.execute(select(func.count()).select_from(device)).scalar_one() - found.total()
    return found


def counts_in(con: Connection, campaign: CampaignId, now: datetime) -> Counter[Ring]:
    """Count the machines of every ring that a campaign can offer something: managed, not exempt."""
    ring = case((table.c.ring.is_(None), literal(Ring.BROAD.value)), else_=table.c.ring)
    wanted = (
        select(ring, func.count())
        .select_from(record)
        .join(device, device.c.id == record.c.device)
        .outerjoin(table, table.c.device == record.c.device)
        .where(record.c.campaign == campaign, device.c.managed)
        .where(or_(record.c.exempt_until.is_(None), record.c.exempt_until <= now))
        .group_by(ring)
    )
    return Counter({Ring(name): count for name, count in con.execute(wanted)})


def members(con: Connection, ring: Ring) -> list[Member]:
    """List the machines of a ring's list, by name."""
    wanted = (
        select(table.c.device, device.c.name, device.c.site, table.c.ring, table.c.by, table.c.since)
        .join(device, device.c.id == table.c.device)
        .where(table.c.ring == ring)
        .order_by(device.c.name, table.c.device)
    )
    return [
        Member(DeviceId(row[0]), row[1], SiteId(row[2]), Ring(row[3]), row[4], row[5])
        for row in con.execute(wanted)
    ]


def managed(con: Connection, site: SiteId | None) -> list[DeviceId]:
    """List the managed machines of a site, or all of them."""
    wanted = select(device.c.id).where(device.c.managed).order_by(device.c.id)
    if site is not None:
        wanted = wanted.where(device.c.site == site)
    return [DeviceId(name) for name in con.execute(wanted).scalars()]
