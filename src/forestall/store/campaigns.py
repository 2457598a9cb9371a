"""The campaigns themselves: guideline, phase and dates."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import Connection, Row, Select, exists, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.campaign import Campaign, Kind, Phase
from forestall.domain.device import DeviceId
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.remediation import RemediationId
from forestall.domain.ring import Ring
from forestall.store.tables import campaign as table
from forestall.store.tables import record

_FIELDS = tuple(field.name for field in fields(Campaign))
_ENDED = (Phase.CLOSED, Phase.WITHDRAWN)


def save(con: Connection, campaign: Campaign) -> None:
    """Add a campaign, or put its new state in the place of the old one."""
    values = {name: getattr(campaign, name) for name in _FIELDS}
    changed = {name: value for name, value in values.items() if name != "id"}
    con.execute(insert(table).values(values).on_conflict_do_update(index_elements=[table.c.id], set_=changed))


def get(con: Connection, campaign: str) -> Campaign | None:
    """Read one campaign."""
    found = _read(con, select(table).where(table.c.id == campaign))
    return found[0] if found else None


def locked(con: Connection, campaign: str) -> Campaign | None:
    """Read one campaign to change it; nobody else changes it until this transaction ends."""
    found = _read(con, select(table).where(table.c.id == campaign).with_for_update(key_share=True))
    return found[0] if found else None


def unchanged(con: Connection, campaign: Campaign) -> bool:
    """Say whether a campaign is still what was read, and keep it so until this transaction ends."""
    return _read(con, select(table).where(table.c.id == campaign.id).with_for_update(read=True)) == [campaign]


def everything(con: Connection) -> list[Campaign]:
    """Read all campaigns, newest first."""
    return _read(con, select(table).order_by(table.c.handed_over_at.desc(), table.c.id))


def active(con: Connection) -> list[Campaign]:
    """Read the campaigns with something left to decide: open ones, and ended ones that still hold or order machines."""
    waiting = exists().where(
        record.c.campaign == table.c.id,
        or_(
            record.c.quarantined_at.is_not(None),
            record.c.offered_at.is_not(None) & record.c.recalled_at.is_(None),
        ),
    )
    held = exists().where(record.c.campaign == table.c.id, record.c.quarantined_at.is_not(None))
    open_ = table.c.phase.not_in(_ENDED)
    withdrawn = (table.c.phase == Phase.WITHDRAWN) & waiting
    statement = select(table).where(or_(open_, withdrawn, (table.c.phase == Phase.CLOSED) & held))
    return _read(con, statement.order_by(table.c.handed_over_at, table.c.id))


def contained(con: Connection, pack: CampaignId) -> list[Campaign]:
    """Read the open campaigns that a service pack's campaign contains, to change them (P7.2)."""
    statement = select(table).where(table.c.rolled_up_by == pack, table.c.phase.not_in(_ENDED))
    return _read(con, statement.order_by(table.c.id).with_for_update(key_share=True))


def ordered(
    con: Connection, devices: Sequence[DeviceId], now: datetime
) -> dict[DeviceId, list[tuple[Campaign, datetime]]]:
    """Read the campaigns that order something of machines now, each with the instant it was offered.

    A halted campaign orders nothing (A7), nor does one that exempts the machine (A1): an order that is missing from
    the answer is dropped by the agent. Machines without an order are left out.
    """
    statement = (
        select(record.c.device, record.c.campaign, record.c.offered_at)
        .join(table, record.c.campaign == table.c.id)
        .where(
            record.c.device == func.any(list(devices)),
            table.c.phase.not_in(_ENDED),
            record.c.offered_at.is_not(None),
            record.c.recalled_at.is_(None),
            table.c.halted_at.is_(None),
            or_(record.c.exempt_until.is_(None), record.c.exempt_until <= now),
        )
        .order_by(table.c.handed_over_at, table.c.id)
    )
    offers = con.execute(statement).all()
    # A campaign is read once, however many machines it orders something of.
    known = {each.id: each for each in some(con, {CampaignId(row.campaign) for row in offers})}
    found = defaultdict[DeviceId, list[tuple[Campaign, datetime]]](list)
    for row in offers:
        found[DeviceId(row.device)].append((known[CampaignId(row.campaign)], row.offered_at))
    return dict(found)


def some(con: Connection, names: Iterable[CampaignId]) -> list[Campaign]:
    """Read some campaigns."""
    wanted = list(names)
    return _read(con, select(table).where(table.c.id == func.any(wanted))) if wanted else []


def _read(con: Connection, statement: Select[tuple[object, ...]]) -> list[Campaign]:
    return [_campaign(row) for row in con.execute(statement)]


def _campaign(row: Row[tuple[object, ...]]) -> Campaign:
    known = {name: getattr(row, name) for name in _FIELDS}
    known |= {
        "id": CampaignId(row.id),
        "remediation": RemediationId(row.remediation),
        "kind": Kind(row.kind),
        "level": Level(row.level),
        "phase": Phase(row.phase),
        "ring": None if row.ring is None else Ring(row.ring),
        "rolled_up_by": None if row.rolled_up_by is None else CampaignId(row.rolled_up_by),
    }
    return Campaign(**known)
