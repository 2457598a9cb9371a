"""Whose is a machine without a known owner: who sits at it may say so, and the person named confirms (P6.1)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from forestall.domain.device import Device, DeviceId, OwnerSource
from forestall.domain.policy import DAY, MINUTE, Policy

ClaimId = NewType("ClaimId", str)
VALID_FOR = 7 * DAY
"""Who has not confirmed by then is asked again, by claiming again."""
TRIED_AGAIN_AFTER = 10 * MINUTE
"""A mail that no server took is handed over again after so long, and meanwhile keeps no other one waiting."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody said at a machine whose it is."""

    id: ClaimId
    device: DeviceId
    address: str
    language: str
    asked_at: datetime
    confirmed_at: datetime | None = None


class Became(StrEnum):
    """What became of a claim, or of confirming one."""

    ASKED = "asked"
    """The person is asked by mail."""
    CONFIRMED = "confirmed"
    NO_ADDRESS = "no_address"
    """That is no mail address, or none of the company."""
    OWNED = "owned"
    """Somebody owns it already."""
    TOO_MANY = "too_many"
    """Enough was claimed today, at this machine or for this address."""
    UNKNOWN = "unknown"
    """The request comes from no machine that we know, or from one with an agent."""
    ENDED = "ended"
    """The claim is too old, or was never made."""


def judge_claim(
    device: Device | None, address: str, at_machine: int, for_address: int, policy: Policy
) -> Became:
    """Say whether a claim is taken; the counts are those of the last day, `address` is empty where it may not be one.

    A machine with a known owner cannot be claimed away: its owner says first that it is not theirs.
    """
    if device is None or device.managed:
        return Became.UNKNOWN
    if device.owner:
        return Became.OWNED
    if not address:
        return Became.NO_ADDRESS
    if max(at_machine, for_address) >= policy.claims_a_day:
        return Became.TOO_MANY
    return Became.ASKED


def judge_confirmation(claim: Claim | None, device: Device | None, now: datetime) -> Became:
    """Say whether confirming makes an owner; what a directory has said meanwhile stands."""
    if claim is None or device is None or now - claim.asked_at >= VALID_FOR:
        return Became.ENDED
    if device.owner:
        same = device.owner == claim.address and device.owner_source is OwnerSource.SELF
        return Became.CONFIRMED if same else Became.OWNED
    return Became.ENDED if claim.confirmed_at is not None else Became.CONFIRMED
