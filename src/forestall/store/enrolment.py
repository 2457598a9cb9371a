"""Tokens, with which a machine becomes managed: made by somebody, counted, bound to a site; only hashes are kept."""

import secrets
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import Device, DeviceId, SiteId
from forestall.store import devices
from forestall.store.tables import enrolment_token


def make_token(
    con: Connection, site: SiteId, uses: int, expires_at: datetime, made_by: str, now: datetime
) -> str:
    """Make a token that enrols up to `uses` machines at a site; it is shown this once."""
    token = secrets.token_urlsafe(24)
    con.execute(
        insert(enrolment_token).values(
            sha256=_digest(token),
            site=site,
            uses_left=uses,
            expires_at=expires_at,
            made_by=made_by,
            made_at=now,
        )
    )
    return token


def enrol(con: Connection, token: str, name: str, now: datetime) -> Device | None:
    """Spend one use of a token on a new managed machine; None where the token is void."""
    spent = (
        update(enrolment_token)
        .where(
            enrolment_token.c.sha256 == _digest(token),
            enrolment_token.c.uses_left > 0,
            enrolment_token.c.expires_at > now,
        )
        .values(uses_left=enrolment_token.c.uses_left - 1)
        .returning(enrolment_token.c.site)
    )
    site = con.execute(spent).scalar_one_or_none()
    if site is None:
        return None
    device = Device(DeviceId(f"m-{secrets.token_hex(8)}"), name, SiteId(site), managed=True, seen_at=now)
    devices.save(con, [device])
    return device


def _digest(token: str) -> bytes:
    # Long random tokens need no slow hash.
    return sha256(token.encode(errors="replace")).digest()
