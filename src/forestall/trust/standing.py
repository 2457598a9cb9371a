"""How the keys stand: holders, thresholds, versions, and when signatures run out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from forestall.trust.metadata import fingerprint, is_development, read_root, read_targets
from forestall.trust.payloads import is_payload
from forestall.trust.repository import Repository
from forestall.trust.roles import PATHS, Role


@dataclass(frozen=True, slots=True)
class RoleStanding:
    """One role."""

    role: Role
    threshold: int
    keys: tuple[str, ...]
    version: int
    expires_at: datetime
    left: timedelta
    """Negative once it has run out: agents refuse what hangs on it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All of them."""

    fingerprint: str
    root_version: int
    development: bool
    roles: tuple[RoleStanding, ...]
    approved: int
    orders: int


def standing(repository: Repository, now: datetime) -> Standing:
    """Read how the keys stand.

    Raises:
        InputError: no ceremony was held.
    """
    content = repository.newest(Role.ROOT)
    root = read_root(content).signed
    targets = read_targets(repository.newest(Role.TARGETS)).signed
    return Standing(
        fingerprint=fingerprint(content),
        root_version=root.version,
        development=is_development(root),
        roles=tuple(_role(repository, role, targets if role in PATHS else root, now) for role in Role),
        approved=sum(not is_payload(path) for path in _targets(repository, Role.REMEDIATIONS)),
        orders=len(_targets(repository, Role.ORDERS)),
    )


def _targets(repository: Repository, role: Role) -> Sequence[str]:
    return list(read_targets(repository.newest(role)).signed.targets)


def _role(repository: Repository, role: Role, delegator: Root | Targets, now: datetime) -> RoleStanding:
    signed: Root | Targets | Snapshot | Timestamp = Metadata.from_bytes(repository.newest(role)).signed
    holders = delegator.get_delegated_role(role.value)
    return RoleStanding(
        role,
        holders.threshold,
        tuple(holders.keyids),
        signed.version,
        signed.expires,
        signed.expires - now.replace(microsecond=0),
    )
