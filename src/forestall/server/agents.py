"""What the server does when an agent speaks: enrol it, hear it, keep its inventory, hand out its orders (P5)."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from forestall import protocol
from forestall.domain.campaign import Kind
from forestall.domain.device import DeviceId
from forestall.domain.events import Event, EventKind
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.identity import CERTIFICATE_LIFE, HEARD, Certificate, Recognition, Void, new_serial
from forestall.domain.inventory import Inventory, Package, PackageState, hash_of
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.remediation import by_recipe
from forestall.server.check_ins import Caller, Reply, hear
from forestall.server.recognition import Speaker, recognise, void
from forestall.store import campaigns, devices, enrolment, evidence, identities, inventories, ledger, records
from forestall.store.database import Connection, Database
from forestall.store.devices import Contact
from forestall.store.evidence import Observation
from forestall.trust.device_ca import DeviceCa, key_of
from forestall.trust.metadata import version_of
from forestall.trust.repository import Repository
from forestall.trust.roles import Role


class Unfit(StrEnum):
    """Why a machine gets no certificate."""

    TOKEN = "token"  # noqa: S105 - a reason, not a secret
    """Nobody made it, it has run out, or it was used as often as it may be."""
    KEY = "key"
    """Its request shows no P-256 key."""


@dataclass(frozen=True, slots=True)
class AgentDesk:
    """Answers agents, always after the commit."""

    database: Database
    policy: Policy
    authority: DeviceCa
    repository: Repository | None = None
    """The signed files; without them machines are enrolled, but obey no order."""

    def recognise(self, certificate: Certificate, now: datetime) -> Recognition:
        """Say whether a machine is heard that says something without a count."""
        with self.database.begin() as con:
            (verdict,) = recognise(con, [Speaker(certificate)], now)
            if verdict is Recognition.CLONED:
                void(con, [certificate.device], Void.CLONED, now)
            return verdict

    def enrol(self, request: protocol.EnrolRequest, now: datetime) -> protocol.EnrolAnswer | Unfit:
        """Take a machine into the management."""
        key = key_of(request.request)
        if key is None:
            return Unfit.KEY
        with self.database.begin() as con:
            device = enrolment.enrol(con, request.token, request.name, now)
            if device is None:
                return Unfit.TOKEN
            first = _certificate(device.id, 0, now)
            identities.add(con, {device.id: first.serial})
            devices.heard(con, [Contact(device.id, now, request.agent_version, boot_id="", sequence=0)])
            body = {"name": device.name, "site": device.site}
            ledger.append(con, [Event(EventKind.DEVICE_ENROLLED, "agent", device.id, body={**body})], now)
        root = self.repository.newest(Role.ROOT).decode() if self.repository else ""
        return protocol.EnrolAnswer(device.id, self.authority.issue(key, first), root)

    def renew(
        self, certificate: Certificate, request: protocol.RenewRequest, now: datetime
    ) -> protocol.RenewAnswer | Recognition | Unfit:
        """Give a machine its next certificate for its last one, also long after that has ended."""
        verdict = self.recognise(certificate, now)
        if verdict not in HEARD | {Recognition.EXPIRED}:
            return verdict
        key = key_of(request.request)
        if key is None:
            return Unfit.KEY
        following = _certificate(certificate.device, certificate.serial, now)
        return protocol.RenewAnswer(self.authority.issue(key, following))

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
        undo = campaign.kind is Kind.UNDO
        found = inventories.standing_of(con, campaign.remediation, wanted, undo=undo)
        said[campaign.id] = [
            Observation(device, Evidence(Witness.INVENTORY, status, now)) for device, status in found.items()
        ]
        affected[campaign.id] = {d: s for d, s in found.items() if s is Status.AFFECTED}
        if by_recipe(campaign.remediation):  # every machine is concerned, and only its agent can tell
            affected[campaign.id] = dict.fromkeys(wanted, Status.UNKNOWN)
    evidence.take_all(con, said, now)
    for name, lacking in affected.items():
        records.enlist(con, name, lacking, now)


def _certificate(device: DeviceId, after: int, now: datetime) -> Certificate:
    """Say what a machine's next certificate says; certificates know whole seconds."""
    begins_at = now.replace(microsecond=0)
    serial = new_serial(after, secrets.randbits(64), now)
    return Certificate(device, serial, begins_at, begins_at + CERTIFICATE_LIFE)


def _package(entry: protocol.PackageEntry) -> Package:
    return Package(
        entry.name,
        entry.version,
        entry.architecture,
        PackageState(entry.state),
        entry.source,
        entry.source_version,
    )
