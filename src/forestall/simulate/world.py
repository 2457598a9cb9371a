"""The world outside the server: what is true of machines, and what witnesses, scanner and switches make of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from forestall.domain.admission import Entry
from forestall.domain.campaign import Campaign, Phase
from forestall.domain.device import DeviceId
from forestall.domain.evidence import CLEAN, Evidence, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.policy import MINUTE
from forestall.simulate.company import Company
from forestall.simulate.core import Core, Mark
from forestall.simulate.faults import Faults
from forestall.simulate.history import Effect, History, Kind, Release, Removal
from forestall.simulate.machine import Answer, Machine, Report, Truth
from forestall.simulate.memory import IntentKey, Lease, Memory
from forestall.simulate.switches import Switches
from forestall.simulate.timeline import Timeline


class Office(Protocol):
    """What the world can say to the server; None or False where nobody answers."""

    @property
    def memory(self) -> Memory:
        """The database behind it."""

    def check_in(self, report: Report) -> Answer | None:
        """Hear an agent."""

    def hear(self, device: DeviceId, campaign: CampaignId, evidence: Evidence) -> bool:
        """Hear what a probe, a logon check or an owner's own check saw."""

    def saw(self, device: DeviceId) -> None:
        """Note that the network saw a machine."""

    def admit(self, device: DeviceId, campaign: CampaignId) -> Entry | None:
        """Decide at the door."""

    def bounced(self, key: IntentKey) -> bool:
        """Note that a mail came back."""


@dataclass(slots=True)
class World:
    """Everything that is true."""

    timeline: Timeline
    company: Company
    faults: Faults
    core: Core
    history: History
    switches: Switches
    office: Office
    cures: Mapping[CampaignId, tuple[CampaignId, ...]]
    """What else an install fixes: a service pack contains earlier patches (P7)."""
    machines: dict[DeviceId, Machine] = field(default_factory=dict[DeviceId, Machine])
    campaigns: dict[CampaignId, Campaign] = field(default_factory=dict[CampaignId, Campaign])
    """Each campaign as people and time last left it, whatever a database forgot."""
    exemptions: dict[Mark, datetime] = field(default_factory=dict[Mark, datetime])
    raised: dict[CampaignId, int] = field(default_factory=dict[CampaignId, int])

    @property
    def now(self) -> datetime:
        """Tell the true time."""
        return self.timeline.now

    @property
    def stormy(self) -> bool:
        """Faults may still happen."""
        return self.timeline.now < self.faults.calm_at

    # -- what witnesses see ------------------------------------------------------------------------------------

    def show(self, machine: Machine, campaign: CampaignId, witness: Witness, status: Status) -> None:
        """Let a witness tell the server what it sees now."""
        truth = machine.truths[campaign]
        if status not in CLEAN and status is not Status.UNKNOWN:
            truth.shown_at = self.now
        if self.office.hear(machine.id, campaign, Evidence(witness, status, self.now)):
            self.heard(machine, campaign, status)

    def heard(self, machine: Machine, campaign: CampaignId, status: Status) -> None:
        """Note that the server took in a word."""
        truth = machine.truths[campaign]
        if status in CLEAN and truth.clean:
            if (machine.id, campaign) in self.switches.closed:
                truth.heard_clean_at = truth.heard_clean_at or self.now
            else:
                truth.warned_at = None

    def probe(self, device: DeviceId, campaign: CampaignId) -> None:
        """Ask the scanner for a look; its answer takes a while, and none comes from a machine that is off."""
        if not (self.stormy and self.timeline.chance(self.faults.lost)):
            self.timeline.after(self.timeline.seconds(2, 40), self._probed, device, campaign)

    def _probed(self, device: DeviceId, campaign: CampaignId) -> None:
        machine = self.machines[device]
        if not (machine.on and machine.connected):
            return
        truth = machine.truths[campaign]
        seen = (
            (Status.FIXED if truth.clean else Status.AFFECTED) if machine.habit.readable else Status.UNKNOWN
        )
        self.show(machine, campaign, Witness.PROBE, seen)

    # -- what the truth becomes --------------------------------------------------------------------------------

    def becomes(self, machine: Machine, campaign: CampaignId, status: Status) -> None:
        """A machine's truth changes, and with it that of all that the remediation contains."""
        for each in (campaign, *self.cures.get(campaign, ())):
            truth = machine.truths.get(each)
            if truth is None or (truth.clean and status is not Status.AFFECTED):
                continue
            truth.status = status
            truth.clean_since = self.now if truth.clean else None
            if not truth.clean:
                truth.heard_clean_at = None
            elif truth.warned_at is not None and self.now - truth.warned_at < 15 * MINUTE:
                self.history.sometimes["patched within the quarter of an hour"] += 1

    def port_closed(self, mark: Mark, key: IntentKey, lease: Lease) -> bool | None:
        """Send the command that closes a port."""
        if self.switches.reachable:
            machine = self.machines[mark[0]]
            self.note(machine, Kind.CLOSED, mark[1], key, lease, again=mark in self.switches.closed)
        return self.switches.set(mark, close=True)

    def port_opened(self, mark: Mark, key: IntentKey, lease: Lease) -> bool | None:
        """Send the command that opens a port."""
        if self.switches.reachable:
            machine = self.machines[mark[0]]
            self.note(machine, Kind.OPENED, mark[1], key, lease, again=mark not in self.switches.closed)
        return self.switches.set(mark, close=False)

    def opened(self, mark: Mark) -> None:
        """Note that a port was read back as open."""
        truth = self.machines[mark[0]].truths[mark[1]]
        truth.warned_at = None
        if truth.heard_clean_at is not None:
            self.history.releases.append(Release(*mark, truth.heard_clean_at, self.now))
            truth.heard_clean_at = None

    def closed(self, mark: Mark, held: timedelta) -> None:
        """Note that a port was read back as closed."""
        warned_at = self.machines[mark[0]].truths[mark[1]].warned_at
        if warned_at is not None:
            self.history.removals.append(Removal(warned_at, self.now, held))

    def note(
        self,
        machine: Machine,
        kind: Kind,
        campaign: CampaignId,
        key: IntentKey | None,
        lease: Lease,
        *,
        again: bool,
        told: bool = True,
    ) -> None:
        """Write an effect down with the truth of this instant."""
        truth, memory, found = machine.truths[campaign], self.office.memory, self.campaigns[campaign]
        exempt_until = self.exemptions.get((machine.id, campaign))
        outside = memory.outside
        self.history.effects.append(
            Effect(
                self.now, kind, machine.id, machine.device.site, campaign, key, lease.epoch, memory.lease.epoch,
                recorded=outside.names(key, machine.id, campaign),
                again=again,
                restored_at=memory.restored_at if memory.unreplayed else None,
                protected=machine.device.protected,
                exempt=exempt_until is not None and self.now < exempt_until,
                clean_since=truth.clean_since,
                shown_at=truth.shown_at,
                warned_at=truth.warned_at,
                waived=found.mail_waived,
                deadline_at=found.deadline_at,
                stopped_at=found.ended_at if found.phase is Phase.WITHDRAWN else found.halted_at,
                told=told,
                raised=self.raised.get(campaign, 0),
            )
        )  # fmt: skip


def begin(world: World, campaign: CampaignId) -> None:
    """Make machines vulnerable: nearly all of them."""
    for machine in world.machines.values():
        affected = world.timeline.random.random() < 0.95
        machine.truths[campaign] = Truth(Status.AFFECTED if affected else Status.NOT_AFFECTED)
