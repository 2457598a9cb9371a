"""Who said whose a machine is, and has not confirmed it yet or has."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import DeviceId
from forestall.domain.ownership import TRIED_AGAIN_AFTER, Claim, ClaimId
from forestall.store.tables import claim as table

_KNOWN = (
    table.c.id, table.c.device, table.c.address, table.c.language, table.c.asked_at, table.c.confirmed_at
)  # fmt: skip


def lock(con: Connection) -> None:
    """Let one claim be counted and made at a time, or many at once would all be below the limit."""
    con.execute(text("SELECT pg_advisory_xact_lock(hashtext('forestall claims'))"))


def counted(con: Connection, device: DeviceId, address: str, since: datetime) -> tuple[int, int]:
    """Count the claims at a machine and those for an address since an instant."""
    row = con.execute(
        select(
            func.count().filter(table.c.device == device), func.count().filter(table.c.address == address)
        ).where(table.c.asked_at > since)
    ).one()
    return int(row[0]), int(row[1])


def put(con: Connection, claim: Claim) -> None:
    """Keep a claim; the person is to be asked."""
    con.execute(
        insert(table).values(
            id=claim.id,
            device=claim.device,
            address=claim.address,
            language=claim.language,
            asked_at=claim.asked_at,
        )
    )


def get(con: Connection, claim: ClaimId) -> Claim | None:
    """Read a claim, to decide on it."""
    row = con.execute(select(*_KNOWN).where(table.c.id == claim).with_for_update()).first()
    return None if row is None else Claim(*row)


def confirm(con: Connection, claim: ClaimId, at: datetime) -> None:
    """Note that the person confirmed it."""
    con.execute(update(table).where(table.c.id == claim).values(confirmed_at=at))


def begin(con: Connection, since: datetime, now: datetime, limit: int) -> list[Claim]:
    """Take the claims whose person is to be asked now, and note that it is tried; older ones than `since` are given up.

    Who was not tried yet comes first: mails that no server takes keep no other waiting.
    """
    tried = table.c.tried_at
    open_ = (table.c.answered_at.is_(None), table.c.asked_at > since)
    due = or_(tried.is_(None), tried <= now - TRIED_AGAIN_AFTER)
    order = tried.asc().nulls_first(), table.c.asked_at, table.c.id
    statement = select(*_KNOWN).where(*open_, due).order_by(*order).limit(limit)
    taken = [Claim(*row) for row in con.execute(statement)]
    con.execute(update(table).where(table.c.id.in_([claim.id for claim in taken])).values(tried_at=now))
    return taken


def answered(con: Connection, claims: Sequence[ClaimId], at: datetime, detail: str) -> None:
    """Note what the mail server said of the mails."""
    values = {"answered_at": at, "detail": detail}
    con.execute(update(table).where(table.c.id.in_(list(claims))).values(values))
