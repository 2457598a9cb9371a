"""What two people decided together (A9): asked, previewed, approved, and used up."""

from datetime import datetime

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.approval import Matter, Request
from forestall.domain.order import CampaignId
from forestall.store.tables import approval as table


def ask(con: Connection, request: Request) -> int:
    """Keep a request and return its number."""
    statement = insert(table).values(
        matter=request.matter,
        campaign=request.campaign,
        by=request.by,
        at=request.at,
        expires_at=request.expires_at,
        machines=request.machines,
        count=request.count,
        left=0,
    )
    return int(con.execute(statement.returning(table.c.id)).scalar_one())


def asked(con: Connection, number: int) -> Request | None:
    """Read a request that nobody has approved yet, to decide on it."""
    size = table.c.count.label("size")
    statement = (
        select(table, size).where(table.c.id == number, table.c.approved_at.is_(None)).with_for_update()
    )
    row = con.execute(statement).first()
    if row is None:
        return None
    return Request(
        Matter(row.matter), CampaignId(row.campaign), row.by, row.at, row.expires_at, row.machines, row.size
    )  # fmt: skip


def approve(con: Connection, number: int, by: str, at: datetime) -> None:
    """Note the second person; what was asked may now be used."""
    changed = {"approved_by": by, "approved_at": at, "left": table.c.count}
    con.execute(update(table).where(table.c.id == number).values(changed))


def raised(con: Connection, campaign: CampaignId) -> int:
    """Say how many removals beyond the caps two people allowed and nobody has used."""
    statement = select(func.coalesce(func.sum(table.c.left), 0)).where(
        table.c.matter == Matter.RAISE_BRAKE, table.c.campaign == campaign
    )
    return int(con.execute(statement).scalar_one())


def spend(con: Connection, campaign: CampaignId, count: int) -> None:
    """Use up some of a raised allowance, oldest approval first."""
    if not count:
        return
    statement = (
        select(table.c.id, table.c.left)
        .where(table.c.matter == Matter.RAISE_BRAKE, table.c.campaign == campaign, table.c.left > 0)
        .order_by(table.c.id)
        .with_for_update()
    )
    for number, left in con.execute(statement).all():
        used = min(left, count)
        con.execute(update(table).where(table.c.id == number).values(left=left - used))
        count -= used
