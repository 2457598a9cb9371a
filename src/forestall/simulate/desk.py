"""Where machines speak to the server: check-ins with their answers, what witnesses saw, the door, returned mail."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from forestall.domain.action import Action
from forestall.domain.admission import Entry, admit
from forestall.domain.brakes import force_at
from forestall.domain.device import DeviceId
from forestall.domain.evidence import CLEAN, Evidence, Witness
from forestall.domain.intent import concluded
from forestall.domain.order import CampaignId, Order, Verb
from forestall.domain.policy import MINUTE
from forestall.domain.product import ProductName
from forestall.domain.record import Outcome, Receipt, Record, after_attempts
from forestall.simulate import testers
from forestall.simulate.machine import Answer, Handed, Report
from forestall.simulate.memory import IntentKey, Key, Memory
from forestall.simulate.server import Server


@dataclass(frozen=True, slots=True)
class Desk:
    """Hears and answers; every answer is given after its record is kept."""

    server: Server

    @property
    def memory(self) -> Memory:
        """The database behind the desk."""
        return self.server.memory

    def check_in(self, report: Report) -> Answer | None:
        """Hear an agent and answer; None where the server is down or has heard a newer report."""
        if not self.server.up:
            return None
        tables, now = self.server.memory.tables, self.server.timeline.now
        if report.sequence <= tables.sequences.get(report.device, 0):
            self.server.history.sometimes["a repeated or overtaken report was ignored"] += 1
            return None
        tables.sequences[report.device] = report.sequence
        orders: list[Handed] = []
        for campaign, status, failures in report.states:
            key = (campaign, report.device)
            record = tables.records.get(key)
            if record is None:
                continue
            heard = self.server.core.after_evidence(record, Evidence(Witness.AGENT, status, now))
            forcing = report.forcing == campaign
            heard = after_attempts(heard, failures, now, forced=False, forcing=forcing)._replace(heard_at=now)
            if tables.campaigns[campaign].ring is not None:
                heard = testers.hear(self.server, key, heard, report, status)
            self.server.memory.put(key, heard, now)
            if failures > record.failures:
                self.server.halt_if_failing(campaign)
            handed = self._order(key, heard, now) if status not in CLEAN else None
            if handed is not None:
                orders.append(handed)
        self.server.wake()
        return Answer(now, tuple(orders))

    def _order(self, key: Key, record: Record, now: datetime) -> Handed | None:
        memory, policy = self.server.memory, self.server.memory.policy
        campaign = memory.tables.campaigns[key[0]]
        if self.server.shared.observing():
            return None  # what the backup says may have been taken back since
        if record.offered_at is None and record.forced_at is None:
            return None
        if campaign.ring is None and campaign.distributed_at is None:
            return None
        moment = memory.moment(key[0], now)
        stopped = (
            moment.halted or moment.closed or (record.exempt_until is not None and now < record.exempt_until)
        )
        if stopped and not moment.withdrawn:
            return None
        start = now + 2 * policy.order_valid_for  # never, while it is tested
        if campaign.deadline_at is not None:
            start = force_at(campaign, key[1], self.server.shared.fleet, policy)
        if moment.overdue and not moment.withdrawn:
            case = self.server.core.case_of(record, moment)
            if not case.forced or self.server.core.guard(Action.INSTALL, case) is not None:
                start = max(start, now + 5 * MINUTE)
        order = Order(
            campaign.id, campaign.revision, Verb.RECALL if moment.withdrawn else Verb.UPGRADE,
            ProductName.DEBIAN, "", "", "",
            offered_at=campaign.distributed_at or campaign.handed_over_at, force_at=start,
            expires_at=now + policy.order_valid_for,
            level=campaign.level, texts={},
        )  # fmt: skip
        return Handed(
            order,
            record.restart_ordered_at is not None,
            timedelta() if moment.imminent else policy.return_countdown,
        )

    def hear(self, device: DeviceId, campaign: CampaignId, evidence: Evidence) -> bool:
        """Hear what a probe, a logon check or an owner's own check saw."""
        record = self.server.memory.tables.records.get((campaign, device))
        if not self.server.up or record is None:
            return False
        now = self.server.timeline.now
        heard = self.server.core.after_evidence(record, evidence)
        self.server.memory.put((campaign, device), heard._replace(seen_at=now), now)
        self.server.wake()
        return True

    def saw(self, device: DeviceId) -> None:
        """Note that the network saw a machine."""
        for campaign in self.server.memory.tables.campaigns if self.server.up else ():
            record = self.server.memory.tables.records[campaign, device]
            self.server.memory.put(
                (campaign, device),
                record._replace(seen_at=self.server.timeline.now),
                self.server.timeline.now,
            )
        self.server.wake()

    def admit(self, device: DeviceId, campaign: CampaignId) -> Entry | None:
        """Decide at the door."""
        record = self.server.memory.tables.records.get((campaign, device))
        if not self.server.up or record is None:
            return None
        return admit(
            self.server.core.case_of(record, self.server.memory.moment(campaign, self.server.timeline.now))
        ).then

    def bounced(self, key: IntentKey) -> bool:
        """Note that a final warning came back: it was never received (A14)."""
        stored = self.server.memory.tables.intents.get(key)
        if not self.server.up or stored is None:
            return False  # stays in the mailbox: a restored backup may not know the warning yet
        record = self.server.memory.tables.records[key.campaign, key.device]
        receipt = Receipt(Outcome.REFUSED, self.server.timeline.now, "bounced")
        self.server.memory.write([concluded(stored.intent, receipt, "mail")], receipt.at)
        if record.warning_at == stored.at:  # an earlier warning's way back does not matter any more
            changed = self.server.core.after_receipt(record, Action.WARN, receipt)
            self.server.memory.put((key.campaign, key.device), changed, self.server.timeline.now)
            self.server.wake()
        return True
