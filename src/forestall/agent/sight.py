"""Gather: how the machine really stands, looked up anew each time, never remembered (A2)."""

from dataclasses import dataclass

from forestall import protocol
from forestall.agent import restarts
from forestall.agent.debian import Debian
from forestall.agent.installers.apt import qualified
from forestall.agent.inventory import dpkg
from forestall.agent.restarts import Stale
from forestall.domain import matching
from forestall.domain.evidence import Status
from forestall.domain.inventory import Inventory, hash_of
from forestall.domain.order import Order
from forestall.domain.remediation import Remediation


@dataclass(frozen=True, slots=True)
class Sight:
    """What is installed, and which processes run replaced code."""

    inventory: Inventory
    sha256: str
    stale: tuple[Stale, ...]


def look(debian: Debian) -> Sight:
    """Look at the machine.

    Raises:
        AgentError: its package list cannot be read.
    """
    inventory = dpkg.take(debian)
    return Sight(inventory, hash_of(inventory), restarts.scan(debian.path))


def status_on(order: Order, sight: Sight, debian: Debian) -> tuple[Status, str]:
    """Tell how the machine stands on one order, and why."""
    remediation = Remediation(order.release, order.source, order.version, (), (), order.offered_at)
    status, reason = matching.status_of(sight.inventory, remediation)
    if status is Status.FIXED:
        running = restarts.still_running(debian.path, sight.inventory, order.source, sight.stale)
        if running:
            return Status.PENDING_RESTART, f"still running the old code: {', '.join(running[:8])}"
    return status, reason


def packages_of(order: Order, sight: Sight) -> list[str]:
    """Name the installed packages that the order is about, as apt wants them."""
    return [qualified(p.name, p.architecture) for p in sight.inventory.packages if p.source == order.source]


def report_of(sight: Sight) -> protocol.InventoryReport:
    """Put the package list on the wire."""
    return protocol.InventoryReport(
        release=sight.inventory.release,
        packages=[
            protocol.PackageEntry(p.name, p.version, p.architecture, p.state, p.source, p.source_version)
            for p in sight.inventory.packages
        ],
    )
