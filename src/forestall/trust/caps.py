"""The signer's own brake: how many machines and campaigns may be forced within an hour, whatever the server asks (A8).

Machines are placed by update, so the sets of two orders overlap by chance only: what is counted is how many
machines are touched by at least one.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from forestall.domain.authority import Approval, Imminence, SignedOrder, forced_at
from forestall.domain.errors import InputError
from forestall.domain.policy import HOUR

FILE = "caps.toml"


class Caps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people set beside the online keys; the server cannot read or change it."""

    machines: Annotated[int, msgspec.Meta(ge=1)]
    """How many machines the company has."""
    forced_an_hour: Annotated[int, msgspec.Meta(ge=1)]
    campaigns_an_hour: Annotated[int, msgspec.Meta(ge=1)] = 20
    """Campaigns whose first order, or whose next revision, is signed."""


def load_caps(directory: Path) -> Caps:
    """Read `caps.toml`.

    Raises:
        InputError: it is missing or cannot be used: then nothing is signed.
    """
    path = directory / FILE
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Caps)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: the signer signs nothing without its caps") from None
    except (ValueError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: {error}") from None


def write_caps(directory: Path, caps: Caps) -> None:
    """Write `caps.toml` for people to change."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = (f"{name} = {value}\n" for name, value in msgspec.structs.asdict(caps).items())
    (directory / FILE).write_text("".join(lines), encoding="utf-8")


class Forced(NamedTuple):
    """A share of the fleet, forced at one instant by one campaign."""

    campaign: str
    at: datetime
    share: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What an order forces and when, as agents will read it; the earliest that its papers allow."""

    forced: tuple[Forced, ...]


def plan_of(order: SignedOrder, approval: Approval | None, imminence: Imminence | None) -> Plan:
    """Lay out when an order forces which share, exactly as agents will read its papers."""
    papers = [order.rings, *(paper.pace for paper in (approval, imminence) if paper is not None)]
    steps = sorted({0.0, *(wave.share for waves in papers for wave in waves)})
    return Plan(
        tuple(
            Forced(order.campaign, forced_at(order, approval, imminence, low), high - low)
            for low, high in pairwise(steps)
        )
    )


def most_in_an_hour(plans: Iterable[Plan], since: datetime, caps: Caps) -> float:
    """Count the machines touched in the busiest hour from `since` on."""
    forced = [each for plan in plans for each in plan.forced if each.at > since - HOUR]
    return max((_touched(forced, each.at, HOUR) for each in forced), default=0.0) * caps.machines


def _touched(forced: Sequence[Forced], begins_at: datetime, period: timedelta) -> float:
    within = [each for each in forced if begins_at <= each.at < begins_at + period]
    by_campaign: dict[str, float] = {}
    for each in within:
        by_campaign[each.campaign] = by_campaign.get(each.campaign, 0.0) + each.share
    return 1 - prod(1 - min(1.0, share) for share in by_campaign.values())
