"""What two people decided together (A9): asked, previewed, approved, and used up."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from forestall.domain.approval import Matter, Request
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.order import CampaignId
from forestall.store.tables import approval as table
from forestall.store.tables import device, record

_FIELDS = tuple(field.name for field in fields(Request))


class Asked(NamedTuple):
    """A request with its number and what became of it."""

    number: int
    request: Request
    devices: tuple[DeviceId, ...]
    """The set that was previewed."""
    approved_by: str
    approved_at: datetime | None


class Exemption(NamedTuple):
    """A machine that is exempt now, and why (A1)."""

    device: DeviceId
    name: str
    site: SiteId
    campaign: CampaignId
    until: datetime
    reason: str
    control: str
    by: str
    approved_by: str


def ask(
    con: Connection, request: Request, devices: Sequence[DeviceId] = (), number: int | None = None
) -> int:
    """Keep a request and return its number; one that has a number already (from the ledger) keeps it."""
    values = {name: getattr(request, name) for name in _FIELDS} | {"devices": list(devices), "left": 0}
    if number is None:
        return int(con.execute(insert(table).values(values).returning(table.c.id)).scalar_one())
    con.execute(insert(table).values(values | {"id": number}).on_conflict_do_nothing())
    behind = text("SELECT setval(pg_get_serial_sequence('approval', 'id'), (SELECT max(id) FROM approval))")
    con.execute(behind)
    return number


def last_number(con: Connection) -> int:
    """Find the highest number given so far; 0 before the first."""
    return int(con.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one())


def asked(con: Connection, number: int) -> Request | None:
    """Read a request that nobody has approved yet, to decide on it."""
    found = get(con, number, to_change=True)
    return None if found is None or found.approved_at is not None else found.request


def get(con: Connection, number: int, *, to_change: bool = False) -> Asked | None:
    """Read one request, whatever became of it."""
    statement = select(table).where(table.c.id == number)
    found = con.execute(statement.with_for_update() if to_change else statement)
    row = found.mappings().first()
    return None if row is None else _asked(row)


def waiting(con: Connection, now: datetime) -> list[Asked]:
    """Read the requests that wait for a second person, oldest first; those that ran out are left out."""
    open_ = (table.c.approved_at.is_(None), table.c.expires_at > now)
    statement = select(table).where(*open_).order_by(table.c.id)
    return [_asked(row) for row in con.execute(statement).mappings()]


def approve(con: Connection, number: int, by: str, at: datetime) -> None:
    """Note the second person; what was asked may now be used."""
    changed = {"approved_by": by, "approved_at": at, "left": table.c.count}
    con.execute(update(table).where(table.c.id == number, table.c.approved_at.is_(None)).values(changed))


def raised(con: Connection, campaign: CampaignId) -> int:
    """Say how many removals beyond the caps two people allowed and nobody has used."""
    return int(
        con.execute(select(func.coalesce(func.sum(table.c.left), 0)).where(*_raised(campaign))).scalar_one()
    )


def raised_for(con: Connection, campaign: CampaignId) -> frozenset[DeviceId]:
    """List the machines whose removal two people have seen and allowed beyond the caps (A8)."""
    rows = con.execute(select(func.unnest(table.c.devices)).where(*_raised(campaign), table.c.left > 0))
    return frozenset(map(DeviceId, rows.scalars()))


def spend(con: Connection, campaign: CampaignId, count: int) -> None:
    """Use up some of a raised allowance, oldest approval first."""
    if not count:
        return
    statement = (
        select(table.c.id, table.c.left)
        .where(*_raised(campaign), table.c.left > 0)
        .order_by(table.c.id)
        .with_for_update()
    )
    for number, left in con.execute(statement).all():
        used = min(left, count)
        con.execute(update(table).where(table.c.id == number).values(left=left - used))
        count -= used


def exemptions(con: Connection, now: datetime, campaign: str = "") -> list[Exemption]:
    """List the exemptions in force, those that end first above, each with what was decided last about it."""
    decided = (
        select(
            table.c.subject,
            table.c.campaign,
            table.c.reason,
            table.c.control,
            table.c.by,
            table.c.approved_by,
        )
        .ext(distinct_on(table.c.subject, table.c.campaign))
        .where(table.c.matter == Matter.EXEMPT, table.c.approved_at.is_not(None))
        .order_by(table.c.subject, table.c.campaign, table.c.approved_at.desc())
        .subquery()
    )
    same = (decided.c.subject == record.c.device) & (decided.c.campaign == record.c.campaign)
    statement = (
        select(
            record.c.device, device.c.name, device.c.site, record.c.campaign, record.c.exempt_until,
            decided.c.reason, decided.c.control, decided.c.by, decided.c.approved_by,
        )
        .join(device, device.c.id == record.c.device)
        .outerjoin(decided, same)
        .where(record.c.exempt_until > now)
        .order_by(record.c.exempt_until, record.c.device)
    )  # fmt: skip
    if campaign:
        statement = statement.where(record.c.campaign == campaign)
    return [
        Exemption(
            DeviceId(row[0]), row[1], SiteId(row[2]), CampaignId(row[3]), row[4],
            row[5] or "", row[6] or "", row[7] or "", row[8] or "",
        )
        for row in con.execute(statement)
    ]  # fmt: skip


def decided(
    con: Connection, matters: Sequence[Matter], campaign: CampaignId, machines: Sequence[DeviceId]
) -> dict[DeviceId, Asked]:
    """Read what was last agreed on about some machines in a campaign."""
    statement = (
        select(table)
        .ext(distinct_on(table.c.subject))
        .where(
            table.c.matter.in_(list(matters)), table.c.campaign == campaign,
            table.c.subject.in_(list(machines)), table.c.approved_at.is_not(None),
        )
        .order_by(table.c.subject, table.c.approved_at.desc())
    )  # fmt: skip
    return {DeviceId(row["subject"]): _asked(row) for row in con.execute(statement).mappings()}


def _raised(campaign: CampaignId) -> tuple[ColumnElement[bool], ...]:
    return table.c.matter == Matter.RAISE_BRAKE, table.c.campaign == campaign


def _asked(row: RowMapping) -> Asked:
    known = {name: row[name] for name in _FIELDS}
    request = Request(**known | {"matter": Matter(row["matter"]), "campaign": CampaignId(row["campaign"])})
    devices = tuple(map(DeviceId, row["devices"]))
    return Asked(row["id"], request, devices, row["approved_by"] or "", row["approved_at"])
