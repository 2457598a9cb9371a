"""What the server does when an agent speaks: enrol it, hear it, keep its inventory, hand out its orders (P5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from forestall import protocol
from forestall.domain.brakes import force_at
from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.inventory import Inventory, Package, PackageState, hash_of
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.server.publishing import ordered
from forestall.store import campaigns, devices, enrolment, evidence, inventories, ledger, records
from forestall.store.database import Connection, Database
from forestall.store.devices import Contact
from forestall.store.evidence import Attempts, Observation
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

    def check_in(self, device: DeviceId, message: protocol.CheckIn, now: datetime) -> protocol.CheckInAnswer:
        """Hear a machine: its word on each order, whether its packages changed; answer with the names of its orders."""
        with self.database.begin() as con:
            devices.heard(
                con, [Contact(device, now, message.agent_version, message.boot_id, message.sequence)]
            )
            said = {CampaignId(state.campaign): _observation(device, state, now) for state in message.states}
            for campaign in sorted(said):
                evidence.take(con, campaign, [said[campaign]], now)
            # What a restored backup says may have been taken back since (A12).
            running = [] if ledger.unreplayed(con) else campaigns.ordered(con, device, now)
            running = [each for each in running if ordered(each[0])]
            fleet = sum(devices.sites(con).values()) if running else 0
            known = inventories.reported_hash(con, device)
        return protocol.CheckInAnswer(
            server_time=now,
            send_inventory=known != message.inventory_sha256,
            next_check_seconds=int(self.policy.check_every.total_seconds()),
            published=version_of(self.repository.newest(Role.TIMESTAMP)) if self.repository else 0,
            hints=[
                protocol.OrderHint(campaign.id, offered_at, force_at(campaign, device, fleet, self.policy))
                for campaign, offered_at in running
            ],
        )

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
    for campaign in campaigns.active(con):
        found = inventories.standing_of(con, campaign.remediation, wanted)
        said = [
            Observation(device, Evidence(Witness.INVENTORY, status, now)) for device, status in found.items()
        ]
        evidence.take(con, campaign.id, said, now)
        affected[campaign.id] = {d: s for d, s in found.items() if s is Status.AFFECTED}
    for name, lacking in affected.items():
        records.enlist(con, name, lacking, now)


def _observation(device: DeviceId, state: protocol.OrderState, now: datetime) -> Observation:
    word = Evidence(Witness.AGENT, Status(state.status), now, state.detail)
    return Observation(device, word, Attempts(state.failures, state.forced, state.forcing))


def _package(entry: protocol.PackageEntry) -> Package:
    return Package(
        entry.name,
        entry.version,
        entry.architecture,
        PackageState(entry.state),
        entry.source,
        entry.source_version,
    )
