"""Orders about packages: of Debian through apt, of Red Hat's kin through dnf."""

from dataclasses import dataclass
from pathlib import Path

from forestall.agent import restarts
from forestall.agent.debian import Debian
from forestall.agent.installers import apt, dnf
from forestall.agent.installers.outcome import Outcome
from forestall.agent.inventory import rpm as rpm_packages
from forestall.agent.restarts import Holding
from forestall.agent.rpm import Rpm
from forestall.agent.sight import Sight
from forestall.domain.evidence import Status
from forestall.domain.matching import status_of, undone_of
from forestall.domain.order import Order, Verb
from forestall.domain.remediation import Remediation


@dataclass(frozen=True, slots=True)
class DebianPackages:
    """The packages of one Debian root."""

    debian: Debian

    def status(self, order: Order, sight: Sight) -> tuple[Status, str]:
        """Compare by dpkg's order; old code that still runs waits for a restart."""
        found = _compared(order, sight)
        if found[0] is not Status.FIXED:
            return found
        return _effective(found, self.holding(order, sight))

    def holding(self, order: Order, sight: Sight) -> Holding:
        """Find what still runs the old code, once it is installed."""
        return restarts.still_running(self.debian.path, sight.inventory, order.source, sight.stale)

    def download(self, order: Order, sight: Sight) -> Outcome:
        """Fetch into apt's own cache."""
        if order.verb is Verb.UNDO:
            return apt.download_back(self.debian, order.source, order.back_to)
        return apt.download(self.debian, apt.names_of(sight.inventory, order.source))

    def install(self, order: Order, sight: Sight, transcript: Path) -> Outcome:
        """Bring what is installed to what the archive offers, or back to the approved version."""
        if order.verb is Verb.UNDO:
            way_back = apt.way_back(self.debian, order.source, order.back_to)
            return apt.undo(self.debian, way_back, transcript)
        return apt.install(self.debian, apt.names_of(sight.inventory, order.source), transcript)

    def repair(self, transcript: Path) -> Outcome:
        """Let dpkg finish."""
        return apt.repair(self.debian, transcript)


@dataclass(frozen=True, slots=True)
class RpmPackages:
    """The packages of one root with rpm."""

    rpm: Rpm

    def status(self, order: Order, sight: Sight) -> tuple[Status, str]:
        """Compare by rpm's order; old code that still runs waits for a restart."""
        found = _compared(order, sight)
        if found[0] is not Status.FIXED:
            return found
        return _effective(found, self.holding(order, sight))

    def holding(self, order: Order, sight: Sight) -> Holding:
        """Find what still runs the old code, once it is installed."""
        names = [each.name for each in sight.inventory.packages if each.source == order.source]
        running = restarts.running(sight.stale, rpm_packages.files_of(self.rpm, names))
        machine = restarts.older_than_start(order.source, rpm_packages.installed_at(self.rpm, names))
        return Holding(running, machine)

    def download(self, order: Order, sight: Sight) -> Outcome:
        """Fetch into dnf's own cache."""
        if order.verb is Verb.UNDO:
            return dnf.download_back(self.rpm, _pins(order, sight))
        return dnf.download(self.rpm, _pins(order, sight))

    def install(self, order: Order, sight: Sight, transcript: Path) -> Outcome:
        """Bring what is installed to exactly the version that was approved."""
        if order.verb is Verb.UNDO:
            return dnf.undo(self.rpm, _pins(order, sight), transcript)
        return dnf.install(self.rpm, _pins(order, sight), transcript)

    def repair(self, transcript: Path) -> Outcome:
        """Let dnf finish."""
        return dnf.repair(self.rpm, transcript)


def _compared(order: Order, sight: Sight) -> tuple[Status, str]:
    if order.verb is Verb.UNDO:
        return undone_of(sight.inventory, order.remediation)
    wanted = Remediation(order.release, order.source, order.version, (), (), order.offered_at)
    return status_of(sight.inventory, wanted)


def _pins(order: Order, sight: Sight) -> list[str]:
    version = order.back_to if order.verb is Verb.UNDO else order.version
    return dnf.pins_of(sight.inventory, order.source, version)


def _effective(found: tuple[Status, str], holding: Holding) -> tuple[Status, str]:
    """Call nothing fixed that still runs the old code (A6)."""
    if names := holding.names:
        return Status.PENDING_RESTART, f"still running the old code: {', '.join(names[:8])}"
    return found
