"""Who may sign what, how many must, and for how long it is good; and where signed papers lie (docs/operate.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY
from forestall.domain.remediation import RemediationId
from forestall.trust.payloads import PAYLOADS


class Role(StrEnum):
    """TUF's roles and the three that `targets` delegates to, by their names in metadata."""

    ROOT = "root"
    TARGETS = "targets"
    """Signed with root's keys: it only says who may sign the next three."""
    REMEDIATIONS = "remediations"
    IMMINENT = "imminent"
    ORDERS = "orders"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Duty:
    """How a role is held: so many keys, so many of them needed, each signature good for so long."""

    keys: int
    threshold: int
    valid_for: timedelta


COMPANY: Mapping[Role, Duty] = {
    Role.ROOT: Duty(3, 2, 365 * DAY),
    Role.REMEDIATIONS: Duty(3, 2, 180 * DAY),
    Role.IMMINENT: Duty(3, 2, 180 * DAY),
    Role.ORDERS: Duty(1, 1, DAY),
    Role.SNAPSHOT: Duty(1, 1, DAY),
    Role.TIMESTAMP: Duty(1, 1, DAY),
}
"""What a ceremony makes; `targets` has root's keys, threshold and period."""

ONLINE = (Role.ORDERS, Role.SNAPSHOT, Role.TIMESTAMP)
"""Held by the signer process; all others never touch the server."""

PATHS: Mapping[Role, tuple[str, ...]] = {
    Role.REMEDIATIONS: ("remediations/*/*/*.json", f"{PAYLOADS}/*"),
    Role.IMMINENT: ("imminent/*/*/*.json",),
    Role.ORDERS: ("orders/*.json",),
}
"""What each delegated role may name, and nothing else."""


def order_path(campaign: CampaignId) -> str:
    """Say where a campaign's order lies."""
    return f"orders/{campaign}.json"


def remediation_path(remediation: RemediationId) -> str:
    """Say where the approval of an update lies."""
    return f"remediations/{remediation}.json"


def imminent_path(remediation: RemediationId) -> str:
    """Say where the declaration of an imminent threat lies."""
    return f"imminent/{remediation}.json"


def period_of(role: Role) -> timedelta:
    """Say for how long a signature of this role is good."""
    return COMPANY[Role.ROOT if role is Role.TARGETS else role].valid_for
