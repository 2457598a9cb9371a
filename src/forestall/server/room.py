"""The fix-it room: what a removed machine is told, and its wish to be checked now (A13).

Who asks is known by the address the request comes from and by the neighbour table, never by what the request says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from forestall.domain.address import canonical_ip
from forestall.domain.campaign import Campaign
from forestall.domain.case import case_of, moment_of
from forestall.domain.device import Device
from forestall.domain.evidence import Status
from forestall.domain.plan import decide
from forestall.domain.policy import Policy
from forestall.domain.record import Record, after_asking
from forestall.domain.remediation import RemediationId, parts_of
from forestall.network.ours import neighbour
from forestall.server.triage import TriageRow, named
from forestall.store import campaigns, devices, records
from forestall.store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class RoomCase:
    """Why a machine is off the network, for one campaign."""

    campaign: str
    source: str
    version: str
    level: str
    advisories: tuple[str, ...]
    vulnerabilities: tuple[str, ...]
    status: Status
    rule: str
    paragraph: str
    deadline_at: datetime | None
    warned_at: datetime | None
    removed_at: datetime
    looked_at: datetime | None
    """Last checked, or a check was asked for."""
    checking: bool
    """A check that was asked for has not begun yet."""


@dataclass(frozen=True, slots=True)
class RoomView:
    """What one machine is shown; no cases: it is not off the network."""

    now: datetime
    name: str
    language: str
    cases: tuple[RoomCase, ...]
    owned: bool = True
    """Its owner is known; else the page asks whose it is."""


@dataclass(frozen=True, slots=True)
class RoomDesk:
    """Answers machines in the fix-it room."""

    database: Database
    policy: Policy
    wake: Callable[[], None] = lambda: None
    patches: str = ""
    """The content store's address as removed machines reach it."""
    _known: dict[RemediationId, TriageRow | None] = field(default_factory=dict)

    def view(self, ip: str, now: datetime) -> RoomView | None:
        """Say why the machine behind an address is off the network; None for an address that is nobody's."""
        with self.database.begin() as con:
            device = machine_behind(con, ip)
            if device is None:
                return None
            held = _held(con, device)
        cases = tuple(self._case(campaign, record, now) for campaign, record in held)
        return RoomView(now, device.name, device.language, cases, owned=bool(device.owner))

    def check(self, ip: str, now: datetime) -> bool:
        """Have the machine behind an address checked now; false where nothing is off the network there."""
        with self.database.begin() as con:
            device = machine_behind(con, ip)
            held = _held(con, device) if device is not None else []
            for campaign, record in held:
                records.revise(con, campaign.id, {record.device: lambda each: after_asking(each, now)})
        if held:
            self.wake()
        return bool(held)

    def _case(self, campaign: Campaign, record: Record, now: datetime) -> RoomCase:
        _, source, version = parts_of(campaign.remediation)
        row = self._row(campaign.remediation)
        case = case_of(record, moment_of(campaign, now, self.policy))
        rule = decide(case)
        asked, looked = record.check_asked_at, record.looked_at
        return RoomCase(
            campaign=campaign.id,
            source=source,
            version=version,
            level=campaign.level,
            advisories=row.advisories if row else (),
            vulnerabilities=row.vulnerabilities if row else (),
            status=case.status,
            rule=rule.name,
            paragraph=rule.paragraph,
            deadline_at=campaign.deadline_at,
            warned_at=record.warned_at,
            removed_at=record.quarantined_at or now,
            looked_at=looked,
            checking=asked is not None and (looked is None or asked > looked),
        )

    def _row(self, update: RemediationId) -> TriageRow | None:
        """Find what the update closes; read once, for it never changes."""
        if update not in self._known:
            self._known[update] = next(
                (row for row in named(self.database, update) if row.remediation == update), None
            )
        return self._known[update]


def machine_behind(con: Connection, ip: str) -> Device | None:
    """Find the machine behind an address: by its hardware address where that is known, else if only one has the IP."""
    address = canonical_ip(ip)
    mac = neighbour(address) if address else ""
    by_mac = devices.at(con, [mac]) if mac else []
    found = by_mac or (devices.at(con, [address]) if address else [])
    return found[0] if len(found) == 1 else None


def _held(con: Connection, device: Device) -> list[tuple[Campaign, Record]]:
    return [
        (campaign, record)
        for name in records.campaigns_of(con, device.id)
        if (campaign := campaigns.get(con, name)) is not None
        for record in records.some(con, name, [device.id])
        if record.quarantined_at is not None
    ]
