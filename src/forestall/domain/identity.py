"""Who speaks? Judged from the machine's certificate and from its count of words; never from what it says (R22).

A serial number begins with the instant of issue, so that of a machine's certificates the newest has the largest. A
machine changes over to a new certificate as a whole: an older one that still speaks is a second machine.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from forestall.domain.device import DeviceId

CERTIFICATE_LIFE = timedelta(days=14)
RENEWABLE_FOR = timedelta(days=90)
"""So long after its end it may still be renewed: machines that were away for long are the ones that matter."""
_CHANGING_OVER = timedelta(minutes=10)
_RANDOM_BITS = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Certificate(NamedTuple):
    """What a certificate of our own authority says; that whoever shows it has its key, TLS has checked."""

    device: DeviceId
    serial: int
    begins_at: datetime
    ends_at: datetime


class Count(NamedTuple):
    """How often a machine has spoken: the number grows with every word, the boot id changes with every start."""

    boot_id: str
    sequence: int


class Void(StrEnum):
    """Why no certificate of a machine counts any more."""

    REVOKED = "revoked"
    """A person said so."""
    CLONED = "cloned"
    """Two machines had it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the server knows of a machine's identity."""

    serial: int
    """Of the newest certificate that has spoken."""
    last: Count
    """The last word with that certificate."""
    void: Void | None = None


class Recognition(StrEnum):
    """Whether a machine is heard, and why not."""

    KNOWN = "known"
    RENEWED = "renewed"
    """Its first word with a newer certificate: from now on the older ones are void."""
    STRANGER = "stranger"
    EXPIRED = "expired"
    """It may renew its certificate."""
    SUPERSEDED = "superseded"
    """A word that was under way while the machine changed over, or a second machine: the next one tells."""
    TOO_LATE = "too-late"
    """It cannot be renewed any more."""
    REVOKED = "revoked"
    CLONED = "cloned"
    """Two machines speak as one: both are to be enrolled anew, and nothing else happens to them."""


HEARD = frozenset({Recognition.KNOWN, Recognition.RENEWED})


def judge(certificate: Certificate, known: Known | None, count: Count | None, now: datetime) -> Recognition:
    """Say whether a machine is heard; `count` is None where its word carries none."""
    if known is None:
        return Recognition.STRANGER
    if known.void is not None:
        return Recognition(known.void)
    if certificate.serial < known.serial:
        return (
            Recognition.SUPERSEDED if now < _issued_at(known.serial) + _CHANGING_OVER else Recognition.CLONED
        )
    if now >= certificate.ends_at:
        return Recognition.EXPIRED if now < certificate.ends_at + RENEWABLE_FOR else Recognition.TOO_LATE
    if certificate.serial > known.serial:
        return Recognition.RENEWED
    return Recognition.CLONED if count is not None and _from_another(count, known.last) else Recognition.KNOWN


def _from_another(count: Count, last: Count) -> bool:
    """Say whether a word cannot be the same machine's: no number is used twice, and none goes back at a start.

    A smaller number of the same start is a word that was late.
    """
    return count.sequence == last.sequence or (
        count.sequence < last.sequence and count.boot_id != last.boot_id
    )


def new_serial(after: int, random: int, now: datetime) -> int:
    """Make a serial number larger than the one before, whatever the clock says; `random` below 2**64."""
    microseconds = (now - _EPOCH) // timedelta(microseconds=1)
    return (max(microseconds, (after >> _RANDOM_BITS) + 1) << _RANDOM_BITS) | random


def _issued_at(serial: int) -> datetime:
    return _EPOCH + timedelta(microseconds=serial >> _RANDOM_BITS)


def due(certificate: Certificate, now: datetime) -> bool:
    """Say whether a machine should renew its certificate: from two thirds of its life on."""
    return now >= certificate.begins_at + (certificate.ends_at - certificate.begins_at) * 2 / 3
