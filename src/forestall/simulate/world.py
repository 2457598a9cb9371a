"""The world outside the server: machines, people, mail, scanner and switches. It keeps the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from forestall.domain.admission import Entry
from forestall.domain.campaign import Campaign, Phase
from forestall.domain.device import DeviceId
from forestall.domain.evidence import CLEAN, Evidence, Status, Witness
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY, HOUR, MINUTE
from forestall.simulate import agent
from forestall.simulate.company import Company, Temper
from forestall.simulate.core import Core, Mark
from forestall.simulate.faults import Faults, within
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
    """Everything that is true, and how it reacts."""

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

    def populate(self) -> None:
        """Let every machine begin its life."""
        for member in self.company.members:
            machine = self.machines[member.device.id] = Machine(member)
            if machine.habit.portable:
                machine.on = machine.connected = False
                self.timeline.after(self.timeline.seconds(0, 3600), self.switch_on, machine)
            else:
                self.timeline.after(self.timeline.seconds(0, 4 * 3600), agent.wake, self, machine)
            if self.timeline.chance(self.faults.agents_die):
                length = (self.faults.calm_at - self.now).total_seconds()
                self.timeline.after(self.timeline.seconds(0, length), self._agent_dies, machine)

    # -- being on, being there ---------------------------------------------------------------------------------

    def switch_on(self, machine: Machine) -> None:
        """A portable machine is opened: in the office, or far away without the network."""
        if machine.on and machine.connected:
            return
        since = self.now - self.timeline_begins
        back = next((until for begins, until in machine.habit.away if begins <= since < until), None)
        machine.on = True
        if back is not None and self.stormy:
            machine.on = (
                int(machine.id[1:]) % 2 == 0
            )  # half of those who are away work on without the network
            agent.wake(self, machine)
            self.timeline.after(back - since, self.switch_on, machine)
            return
        self.knock(machine)
        if self.stormy:
            self.timeline.after(self.timeline.seconds(7 * 3600, 10 * 3600), self._switch_off, machine)

    @property
    def timeline_begins(self) -> datetime:
        """The instant from which absences are counted."""
        return min((c.published_at for c in self.campaigns.values()), default=self.now)

    def _switch_off(self, machine: Machine) -> None:
        if not self.stormy:
            return
        machine.on = machine.connected = False
        tomorrow = DAY - timedelta(hours=self.now.hour, minutes=self.now.minute) + 8 * HOUR
        weekend = {4: 2 * DAY, 5: DAY}.get(self.now.weekday(), timedelta())
        self.timeline.after(tomorrow + weekend + self.timeline.seconds(0, 5400), self.switch_on, machine)

    def knock(self, machine: Machine) -> None:
        """A machine comes to the door: logon, VPN or network entry (P8.4, P8.5)."""
        for campaign in self.campaigns.values():
            if campaign.open and campaign.imminent_at and campaign.id in machine.truths:
                entry = self._entry(machine, campaign.id)
                if entry is Entry.UPGRADE and machine.agent_alive:
                    self.history.sometimes["upgraded at the door"] += 1
                    if machine.truths[campaign.id].status is Status.PENDING_RESTART:
                        agent.restart(self, machine)
                    else:
                        agent.install(self, machine, campaign.id, forced=True)
                elif entry in {Entry.FIX_IT_ROOM, Entry.HOLD} and self.stormy:
                    self.history.sometimes["kept in the fix-it room at the door"] += 1
                    machine.connected = False
                    self.plan(machine, campaign.id, machine.habit.answers_after)
                    self.timeline.after(machine.habit.answers_after + 2 * HOUR, self.knock, machine)
                    return
        machine.connected = True
        agent.wake(self, machine)

    def _entry(self, machine: Machine, campaign: CampaignId) -> Entry | None:
        entry = self.office.admit(machine.id, campaign)
        if entry is Entry.HOLD:
            self.history.sometimes["held at the door until checked"] += 1
            self.show(machine, campaign, Witness.LOGON, machine.truths[campaign].status)
            entry = self.office.admit(machine.id, campaign)
        return entry

    def _agent_dies(self, machine: Machine) -> None:
        machine.agent_alive = False
        if machine.device.managed:
            self._sighted(machine)

    def _sighted(self, machine: Machine) -> None:
        if machine.on and machine.connected:
            self.office.saw(machine.id)
        if not machine.agent_alive:
            self.timeline.after(8 * HOUR, self._sighted, machine)

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

    # -- what reaches people -----------------------------------------------------------------------------------

    def post(self, key: IntentKey, lease: Lease) -> bool | None:
        """Hand a mail to the mail server: accepted, refused, or nobody there (None)."""
        if within(self.faults.mail_down, self.now):
            return None
        machine = self.machines[key.device]
        if self.stormy and self.timeline.chance(self.faults.bounced / 4):
            return False
        action = key.action.value
        if action == "warn":
            truth = machine.truths[key.campaign]
            self.note(machine, Kind.WARNED, key.campaign, key, lease, again=truth.warned_at is not None)
            truth.warned_at = self.now
            if self.stormy and self.timeline.chance(self.faults.bounced):
                self.timeline.after(self.timeline.seconds(30, 2400), self._bounce, key)
        self._read(machine, key.campaign, action)
        return True

    def _bounce(self, key: IntentKey) -> None:
        if self.office.bounced(key):
            self.machines[key.device].truths[key.campaign].warned_at = None
            self.history.sometimes["a final warning bounced"] += 1
        else:
            self.timeline.after(5 * MINUTE, self._bounce, key)

    def _read(self, machine: Machine, campaign: CampaignId, action: str) -> None:
        habit = machine.habit
        if action == "ask":
            self.timeline.after(self.timeline.seconds(600, 90_000), self.check_myself, machine, campaign)
        elif action == "warn" and habit.temper is not Temper.IGNORES:
            self.plan(machine, campaign, min(habit.answers_after, 40 * MINUTE))
        elif action == "announce" and not machine.device.managed:
            self.decide_moment(machine, campaign)

    def decide_moment(self, machine: Machine, campaign: CampaignId) -> None:
        """The person behind a machine hears of the patch and picks a moment, or does not (P5.2, P6.1)."""
        habit, deadline_at = machine.habit, self.campaigns[campaign].deadline_at
        if habit.temper is Temper.RESPONDS:
            self.plan(machine, campaign, habit.answers_after)
        elif habit.temper is Temper.WAITS and deadline_at is not None:
            self.plan(machine, campaign, deadline_at - self.now - 2 * habit.answers_after)

    def plan(self, machine: Machine, campaign: CampaignId, wait: timedelta) -> None:
        """Somebody will install after a while."""
        self.timeline.after(max(wait, MINUTE), agent.chosen, self, machine, campaign)

    def check_myself(self, machine: Machine, campaign: CampaignId) -> None:
        """An owner follows the link that checks the machine now (A2, A13)."""
        if machine.on:
            self.history.sometimes["an owner checked a machine"] += 1
            self.show(machine, campaign, Witness.LOGON, machine.truths[campaign].status)

    def tell(self, device: DeviceId, campaign: CampaignId) -> None:
        """A person was told of a case and has it patched by hand within days."""
        self.plan(self.machines[device], campaign, self.timeline.seconds(8 * 3600, 72 * 3600))

    def help(self, device: DeviceId) -> None:
        """The help desk will repair an agent."""
        self.timeline.after(self.timeline.seconds(12 * 3600, 48 * 3600), self._repair, self.machines[device])

    def _repair(self, machine: Machine) -> None:
        machine.agent_alive = machine.repaired = True
        agent.wake(self, machine)

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
        machine = self.machines[mark[0]]
        if self.switches.reachable:
            self.note(machine, Kind.CLOSED, mark[1], key, lease, again=mark in self.switches.closed)
        said = self.switches.set(mark, close=True)
        if machine.habit.temper is not Temper.RESPONDS or machine.device.managed:
            self.plan(machine, mark[1], machine.habit.answers_after)
        return said

    def port_opened(self, mark: Mark, key: IntentKey, lease: Lease) -> bool | None:
        """Send the command that opens a port."""
        machine = self.machines[mark[0]]
        if self.switches.reachable:
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
                unreplayed=memory.unreplayed,
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
