"""Who speaks: certificates are held against what the store knows, many in one question to it (R22)."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind
from forestall.domain.identity import Certificate, Count, Recognition, Void, judge
from forestall.store import identities, ledger
from forestall.store.database import Connection


class Speaker(NamedTuple):
    """A machine that speaks; `counted` is None where its word carries no count."""

    certificate: Certificate
    counted: Count | None = None


def recognise(con: Connection, speakers: Sequence[Speaker], now: datetime) -> list[Recognition]:
    """Judge different machines, in their order; the first word of a newer certificate makes the older ones void.

    Whoever calls appends `void` for the cloned ones once the ledger's turn has come: it is locked last.
    """
    known = identities.known(con, [speaker.certificate.device for speaker in speakers])
    verdicts = [judge(said, known.get(said.device), counted, now) for said, counted in speakers]
    newer = {
        said.device: said.serial
        for (said, _), verdict in zip(speakers, verdicts, strict=True)
        if verdict is Recognition.RENEWED
    }
    identities.renewed(con, newer)
    return verdicts


def void(
    con: Connection,
    machines: Sequence[DeviceId],
    why: Void,
    now: datetime,
    by: str = "server",
    reason: str = "",
) -> list[DeviceId]:
    """Let no certificate of these machines count from now on, with an entry each; returns those that still had one."""
    if not machines:
        return []
    found = identities.avoid(con, machines, why, now)
    body = {"void": why.value, "reason": reason}
    ledger.append(con, [Event(EventKind.DEVICE_VOIDED, by, device, body={**body}) for device in found], now)
    return found
