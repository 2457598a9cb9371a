"""Gather: how the machine really stands, looked up anew each time, never remembered (A2)."""

from dataclasses import dataclass

from forestall import protocol
from forestall.agent import restarts
from forestall.agent.debian import Debian
from forestall.agent.inventory import dpkg, rpm, windows
from forestall.agent.restarts import Stale
from forestall.agent.system import System
from forestall.agent.windows import Windows
from forestall.domain.inventory import Inventory, hash_of


@dataclass(frozen=True, slots=True)
class Sight:
    """What is installed, and which processes run replaced code."""

    inventory: Inventory
    sha256: str
    stale: tuple[Stale, ...]


def look(system: System) -> Sight:
    """Look at the machine.

    Raises:
        AgentError: its package list cannot be read.
    """
    if isinstance(
        system, Windows
    ):  # it keeps files that are in use: what waits for a restart, its agent says
        inventory = windows.take(system)
        return Sight(inventory, hash_of(inventory), ())
    inventory = dpkg.take(system) if isinstance(system, Debian) else rpm.take(system)
    return Sight(inventory, hash_of(inventory), restarts.scan(system.path))


def report_of(sight: Sight) -> protocol.InventoryReport:
    """Put the package list on the wire."""
    return protocol.InventoryReport(
        release=sight.inventory.release,
        packages=[
            protocol.PackageEntry(p.name, p.version, p.architecture, p.state, p.source, p.source_version)
            for p in sight.inventory.packages
        ],
    )
