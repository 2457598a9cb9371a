"""How a machine becomes managed: a token that somebody made, then a secret of its own; only hashes are kept."""

import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import Device, DeviceId, SiteId
from forestall.store import devices
from forestall.store.tables import device_secret, enrolment_token


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


def enrol(con: Connection, token: str, name: str, now: datetime) -> tuple[Device, str] | None:
    """Spend one use of a token on a new managed machine and give it a secret; None where the token is void."""
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
    return device, renew_secret(con, device.id, now)


def renew_secret(con: Connection, device: DeviceId, now: datetime) -> str:
    """Give a machine a new secret; the old one is void at once."""
    secret = secrets.token_urlsafe(32)
    values = {"sha256": _digest(secret), "made_at": now}
    statement = insert(device_secret).values(device=device, **values)
    con.execute(statement.on_conflict_do_update(index_elements=[device_secret.c.device], set_=values))
    return secret


def revoke(con: Connection, device: DeviceId) -> None:
    """Void a machine's secret."""
    con.execute(delete(device_secret).where(device_secret.c.device == device))


def authentic(con: Connection, device: DeviceId, secret: str) -> bool:
    """Say whether a secret is the machine's own."""
    return all_authentic(con, [(device, secret)])[0]


def all_authentic(con: Connection, claims: Sequence[tuple[DeviceId, str]]) -> list[bool]:
    """Say of each claim, in their order, whether the secret is the machine's own; one query."""
    named = device_secret.c.device == func.any([device for device, _ in claims])
    kept = {row.device: row.sha256 for row in con.execute(select(device_secret).where(named))}
    # Compared with something even where nothing is kept: the time taken does not tell which ids exist.
    return [
        hmac.compare_digest(kept.get(device, bytes(32)), _digest(secret)) and device in kept
        for device, secret in claims
    ]


def _digest(secret: str) -> bytes:
    # Long random secrets need no slow hash.
    return sha256(secret.encode(errors="replace")).digest()
