"""May this machine come in, and where to? Facts gathered for the door's table (P8.5, A2, A13)."""

from dataclasses import dataclass
from datetime import datetime

from forestall.domain.address import macs
from forestall.domain.admission import Entry, admit
from forestall.domain.case import case_of, moment_of
from forestall.domain.device import DeviceId
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.server.enforcement import Enforcement
from forestall.store import campaigns, devices, records
from forestall.store.database import Connection, Database

_STRICTEST_LAST = (Entry.ADMIT, Entry.UPGRADE, Entry.HOLD, Entry.FIX_IT_ROOM)


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer, and the row of the door's table that gave it."""

    entry: Entry
    rule: str
    paragraph: str
    meaning: str
    device: DeviceId | None = None
    campaign: CampaignId | None = None


UNKNOWN = Admission(Entry.ADMIT, "come-in-unknown", "A2", "nobody we know; unknown alone keeps nobody out")
BROKEN = Admission(Entry.ADMIT, "glass-broken", "A8", "the glass was broken: nobody is kept out")


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Answers RADIUS servers and other doors."""

    database: Database
    policy: Policy
    enforcement: Enforcement

    def ask(self, station: str, now: datetime) -> Admission:
        """Judge a machine by its hardware address; the strictest of its campaigns decides."""
        if self.enforcement.stopped:
            return BROKEN
        addresses = macs([station])
        if not addresses:
            return UNKNOWN
        with self.database.begin() as con:
            found = [
                answer
                for device in devices.at(con, addresses)
                for answer in self._answers(con, device.id, now)
            ]
        return max(found, key=lambda each: _STRICTEST_LAST.index(each.entry), default=UNKNOWN)

    def _answers(self, con: Connection, device: DeviceId, now: datetime) -> list[Admission]:
        return [
            Admission(rule.then, rule.name, rule.paragraph, rule.meaning, device, campaign.id)
            for name in records.campaigns_of(con, device)
            if (campaign := campaigns.get(con, name)) is not None
            for record in records.some(con, name, [device])
            for rule in [admit(case_of(record, moment_of(campaign, now, self.policy)))]
        ]
