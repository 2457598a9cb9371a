"""What the server does when an agent speaks: enrol it, hear it, keep its inventory, hand out its orders (P5)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from forestall import protocol
from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.inventory import Inventory, Package, PackageState, hash_of
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.remediation import by_recipe
from forestall.server.check_ins import Caller, Reply, hear
from forestall.store import campaigns, devices, enrolment, evidence, inventories, ledger, records
from forestall.store.database import Connection, Database
from forestall.store.devices import Contact
from forestall.store.evidence import Observation
from forestall.trust.metadata import version_of
from forestall.trust.repository import Repository
from forestall.trust.roles import Role


@dataclass(frozen=True, slots=True)
class AgentDesk:
    """Answers agents, always after the commit."""

    database: Database
    policy: Policy
    repository: Repository | None = None
    """The signed files; without them machines are enrolled, but obey no order."""

    def identify(self, name: str, secret: str) -> DeviceId | None:
        """Say which machine speaks; None for a credential that is not ours."""
        with self.database.begin() as con:
            device = DeviceId(name)
            return device if enrolment.authentic(con, device, secret) else None

    def enrol(self, request: protocol.EnrolRequest, now: datetime) -> protocol.EnrolAnswer | None:
        """Take a machine into the management; None where the token is void."""
        with self.database.begin() as con:
            made = enrolment.enrol(con, request.token, request.name, now)
            if made is None:
                return None
            device, secret = made
            devices.heard(con, [Contact(device.id, now, request.agent_version, boot_id="", sequence=0)])
            body = {"name": device.name, "site": device.site}
            ledger.append(con, [Event(EventKind.DEVICE_ENROLLED, "agent", device.id, body={**body})], now)
        root = self.repository.newest(Role.ROOT).decode() if self.repository else ""
        return protocol.EnrolAnswer(device=device.id, secret=secret, root=root)

    def hear(self, callers: Sequence[Caller], now: datetime) -> list[Reply]:
        """Hear many machines in one transaction: their word on each order, whether their packages changed."""
        with self.database.begin() as con:
            return hear(con, callers, now, self.policy, self._published())

    def _published(self) -> int:
        return version_of(self.repository.newest(Role.TIMESTAMP)) if self.repository else 0

    def take_inventory(self, device: DeviceId, report: protocol.InventoryReport, now: datetime) -> None:
        """Keep a machine's packages, and compare them with every campaign that is open."""
        found = Inventory(report.release, tuple(map(_package, report.packages)))
        with self.database.begin() as con:
            inventories.put(con, device, found, hash_of(found), 0, now)
            compare(con, [device], now)


def compare(con: Connection, machines: Iterable[DeviceId], now: datetime) -> None:
    """Compare machines' inventories with the open campaigns: the affected are taken in, the others' words noted."""
    wanted = list(machines)
    affected: dict[CampaignId, dict[DeviceId, Status]] = {}
    said: dict[CampaignId, list[Observation]] = {}
    for campaign in campaigns.active(con):
        found = inventories.standing_of(con, campaign.remediation, wanted)
        said[campaign.id] = [
            Observation(device, Evidence(Witness.INVENTORY, status, now)) for device, status in found.items()
        ]
        affected[campaign.id] = {d: s for d, s in found.items() if s is Status.AFFECTED}
        if by_recipe(campaign.remediation):  # every machine is concerned, and only its agent can tell
            affected[campaign.id] = dict.fromkeys(wanted, Status.UNKNOWN)
    evidence.take_all(con, said, now)
    for name, lacking in affected.items():
        records.enlist(con, name, lacking, now)


def _package(entry: protocol.PackageEntry) -> Package:
    return Package(
        entry.name,
        entry.version,
        entry.architecture,
        PackageState(entry.state),
        entry.source,
        entry.source_version,
    )
