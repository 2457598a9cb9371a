"""What agent and server say to each other, version 1 (docs/agent-protocol.md).

Structs only: parsed once at the edge with every limit checked, then trusted. Identity is the certificate of the
connection, never a field of a body.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from forestall.domain.order import Hold, Restart

VERSION = 1
AUTHORITY = "/agent/v1/authority"
ENROL = "/agent/v1/enrol"
RENEW = "/agent/v1/renew"
CHECK_IN = "/agent/v1/check-in"
INVENTORY = "/agent/v1/inventory"
WAKE = "/agent/v1/wake"
LOOK_NOW = b"data: check-in\n\n"
"""The one event of a wake-up stream."""
STILL_HERE_SECONDS = 60.0
"""So often a wake-up stream says something, so that both sides notice when the other is gone."""
TRUST = "/trust"
"""Below it the signed files, `metadata/` and `targets/`; any mirror may serve the same."""

MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_PACKAGES = 50_000
MAX_ORDERS = 1_000
MAX_SERVICES = 32

_NO_NUL = "^[^\\x00]*$"  # PostgreSQL cannot keep one
Word = Annotated[str, msgspec.Meta(max_length=256, pattern=_NO_NUL)]
"""A name, a version or an id; longer ones are refused."""
Text = Annotated[str, msgspec.Meta(max_length=2_000, pattern=_NO_NUL)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Pem = Annotated[str, msgspec.Meta(max_length=8 * 1024, pattern=_NO_NUL)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""With a time zone: one without cannot be compared with any other."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Tries = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


def in_this_age(*instants: datetime) -> None:
    """Refuse instants so far away that adding to them, or showing them, would fail.

    Raises:
        ValueError: one lies before 2000 or after 2199; while a message is parsed, it is refused with that.
    """
    if not all(2000 <= at.year < 2200 for at in instants):
        raise ValueError("an instant before 2000 or after 2199")


class EnrolRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A machine asks to be managed, with a token that somebody gave it and a key of its own."""

    token: Word
    name: Word
    agent_version: Word
    request: Pem
    """For a certificate (PKCS#10); only its P-256 key counts."""


class EnrolAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The machine's id and its first certificate."""

    device: Word
    certificate: Pem
    root: Annotated[str, msgspec.Meta(max_length=256 * 1024)] = ""
    """The TUF root that signs who may sign; the machine trusts this one and its successors, nothing else."""


class RenewRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A machine asks for its next certificate over a connection with its last one, ended or not."""

    request: Pem


class RenewAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The next certificate; the last one counts until this one speaks."""

    certificate: Pem


class OrderState(msgspec.Struct, forbid_unknown_fields=True):
    """How the machine stands on one order it holds."""

    campaign: Word
    revision: Count
    status: Annotated[str, msgspec.Meta(pattern=r"^(fixed|pending_restart|affected|not_affected|unknown)\Z")]
    chosen: bool = False
    """The person installed it before it was forced (P5.2)."""
    forced: bool = False
    installed_at: datetime | None = None
    attempts: Tries = 0
    failures: Tries = 0
    """Failed attempts in a row; 0 after a success."""
    forcing: bool = False
    """It installs by force right after this, unless the answer takes the order back (A7)."""
    picked_at: Instant | None = None
    """The moment that the person picked, to install or to restart (P5.2)."""
    held_by: Annotated[list[Hold], msgspec.Meta(max_length=8)] = []
    """What keeps the picked moment from being used; nothing does past the deadline."""
    detail: Text = ""
    services: Annotated[list[Word], msgspec.Meta(max_length=MAX_SERVICES)] = []
    """Services that ran before the install and have failed since (P4.2)."""
    broke: Text = ""
    """What its person says that it broke, in their own words (P4.2)."""


class CheckIn(msgspec.Struct, forbid_unknown_fields=True):
    """About 500 bytes every four hours and on change (P5.3)."""

    agent_version: Word
    boot_id: Word
    sequence: Count
    inventory_sha256: Sha256
    states: Annotated[list[OrderState], msgspec.Meta(max_length=MAX_ORDERS)]
    volunteers: bool | None = None
    """Its person has joined or left those who test first (P4.1); None where they never said."""


class OrderMessage(msgspec.Struct, forbid_unknown_fields=True):
    """`domain.order.Order` field by field, as the machine keeps what its signed papers allow."""

    campaign: Word
    revision: Count
    verb: Word
    product: Word
    release: Word
    source: Word
    version: Word
    offered_at: datetime
    force_at: datetime
    expires_at: datetime
    level: Word
    texts: dict[str, Text]
    restart: Restart = Restart.PERSON
    imminent: bool = False
    back_to: str = ""


class OrderHint(msgspec.Struct, forbid_unknown_fields=True):
    """Which signed order concerns the machine; it can delay what the papers allow, never hasten it."""

    campaign: Word
    offered_at: Instant
    force_at: Instant

    def __post_init__(self) -> None:
        in_this_age(self.offered_at, self.force_at)


class CheckInAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """What the server wants next, without authority: orders are signed files, found by these names."""

    server_time: Instant
    send_inventory: bool
    next_check_seconds: Count
    published: Count
    """Version of the newest timestamp: a mirror behind it is passed over."""
    hints: Annotated[list[OrderHint], msgspec.Meta(max_length=MAX_ORDERS)]

    def __post_init__(self) -> None:
        in_this_age(self.server_time)


class PackageEntry(msgspec.Struct, forbid_unknown_fields=True, array_like=True):
    """One installed package; an array on the wire to save half the bytes."""

    name: Word
    version: Word
    architecture: Word
    state: Annotated[str, msgspec.Meta(pattern=r"^(installed|broken)\Z")]
    source: Word
    source_version: Word


class InventoryReport(msgspec.Struct, forbid_unknown_fields=True):
    """The whole package list, sent only when its hash is new."""

    release: Word
    packages: Annotated[list[PackageEntry], msgspec.Meta(max_length=MAX_PACKAGES)]


class Problem(msgspec.Struct):
    """An error as RFC 9457 problem document: what, why, what to do next."""

    title: str
    detail: str
    status: int
