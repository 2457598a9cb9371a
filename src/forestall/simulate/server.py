"""The server of the made-up company: it hears machines, answers them, and keeps two schedulers of which one acts."""

from dataclasses import replace
from datetime import datetime, timedelta

from forestall.domain.campaign import Campaign, Phase, Step, due, halted, take
from forestall.domain.events import Event, EventKind
from forestall.domain.halt import failing
from forestall.domain.order import CampaignId
from forestall.domain.policy import MINUTE
from forestall.domain.story import told
from forestall.simulate.core import Core
from forestall.simulate.history import History
from forestall.simulate.memory import Key, Lease, Memory, Tables
from forestall.simulate.scheduler import Scheduler
from forestall.simulate.shared import Shared
from forestall.simulate.timeline import Timeline
from forestall.simulate.world import World

_LEASE = MINUTE
_TICK = timedelta(seconds=10)
"""Two looks are at least so far apart."""
PATROL_EVERY = 10 * MINUTE
"""Ports with our mark are read back so often."""


class Server:
    """The whole server: its schedulers, the memory they share, and what befalls it."""

    shared: Shared
    schedulers: tuple[Scheduler, Scheduler]

    def __init__(self, timeline: Timeline, memory: Memory, core: Core, history: History) -> None:
        self.timeline = timeline
        self.memory = memory
        self.core = core
        self.history = history
        self.up = True
        self._stop_until: datetime | None = None
        self._tick_at: datetime | None = None
        self._ticked_at = timeline.now

    def open_for(self, world: World) -> None:
        """Begin to serve a world."""
        devices = world.company.devices
        self.shared = Shared(
            self.timeline, self.memory, self.core, self.history, world,
            sites=world.company.site_sizes,
            fleet=len(devices),
            protected=frozenset(device.id for device in devices if device.protected),
            grasp=self._in_hand,
        )  # fmt: skip
        self.schedulers = (Scheduler("scheduler-a", self.shared), Scheduler("scheduler-b", self.shared))
        self._take_over(self.schedulers[0])
        self.timeline.after(PATROL_EVERY, self._patrol)

    # -- campaigns --------------------------------------------------------------------------------------------

    def change(self, campaign: Campaign, event: Event) -> None:
        """Keep a campaign's change, its ledger entry, and the truth of it."""
        body = {**(event.body or {}), **told(campaign, self.memory.tables.campaigns.get(campaign.id))}
        self.memory.change_campaign(campaign, replace(event, body=body), self.timeline.now)
        self.shared.world.campaigns[campaign.id] = campaign
        self.wake()

    def step(self, id: CampaignId, step: Step, actor: str) -> bool:  # noqa: A002 - the campaign's
        """Move a campaign one step on."""
        moved = take(self.memory.tables.campaigns[id], step, self.timeline.now)
        if moved is None:
            return False
        self.change(moved, Event(EventKind.PHASE_CHANGED, actor, id, id, step))
        return True

    def halt_if_failing(self, id: CampaignId) -> None:  # noqa: A002
        """Stop a campaign whose installs fail or whose machines fall silent (A7)."""
        tables, now = self.memory.tables, self.timeline.now
        campaign = tables.campaigns[id]
        if campaign.phase is not Phase.ENFORCING or self.shared.observing():
            return
        mine = (record for (name, _), record in tables.records.items() if name == id)
        why = failing(mine, campaign, now, self.memory.policy)
        if why:
            self.history.sometimes["halted by itself"] += 1
            self.history.sometimes["halted because machines fell silent"] += "silent" in why
            self.halt(id, why, "forestall")

    def halt(self, id: CampaignId, why: str, actor: str) -> None:  # noqa: A002
        """Stop a campaign (A7)."""
        campaign = self.memory.tables.campaigns[id]
        stopped = halted(campaign, why, self.timeline.now)
        self.change(stopped, Event(EventKind.HALTED, actor, id, id, "halted", "A7", {"why": why}))

    # -- schedulers -------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let a look happen as soon as one is worth it."""
        wanted = self.memory.next_look()
        if wanted is None:
            return
        at = max(wanted, self._ticked_at + _TICK)
        if self._tick_at is None or at < self._tick_at:
            self._tick_at = at
            self.timeline.at(at, self._tick, at)

    def _tick(self, at: datetime) -> None:
        if at != self._tick_at:
            return
        self._tick_at, self._ticked_at = None, self.timeline.now
        leader = self._leader()
        if leader is None:
            self.timeline.after(MINUTE, self.wake)
            return
        for campaign in list(self.memory.tables.campaigns.values()):
            step = due(campaign, self.timeline.now)
            if step is not None and not self.shared.observing():
                self.step(campaign.id, step, "forestall")
        leader.look()
        self.wake()

    def _leader(self) -> Scheduler | None:
        """Find who holds the lease and runs; a running scheduler takes a lease that has run out."""
        if not self.up:
            return None
        lease, now = self.memory.lease, self.timeline.now
        for scheduler in self.schedulers:
            if scheduler.process.name == lease.holder and scheduler.process.stopped_until is None:
                return scheduler
        if lease.until is not None and now < lease.until:
            return None
        free = next((s for s in self.schedulers if s.process.stopped_until is None), None)
        if free is not None:
            self.history.sometimes["the other scheduler took over"] += 1
            self._take_over(free)
        return free

    def begin_anew(self) -> None:
        """Look at everything and carry out all that is open: the tables have changed below the scheduler."""
        leader = self._leader()
        if leader is not None:
            leader.start(leader.process.epoch)
        self.wake()

    def _take_over(self, scheduler: Scheduler) -> None:
        self.memory.lease = Lease(scheduler.process.name, self.memory.lease.epoch + 1)
        scheduler.start(self.memory.lease.epoch)
        self.wake()

    # -- what befalls the server ------------------------------------------------------------------------------

    def kill(self, down: timedelta) -> None:
        """The process dies with all that it had in hand, and starts again after a while."""
        if not self.up:
            return
        self.up = False
        for scheduler in self.schedulers:
            scheduler.process.life += 1
            scheduler.process.stopped_until = None
        self.timeline.after(down, self.start)

    def start(self) -> None:
        """Start again."""
        self.up = True
        self._tick_at = None
        self._take_over(self.schedulers[0])

    def pause(self, until: datetime) -> None:
        """The scheduler that acts will be stopped in the middle of the next work that it takes in hand."""
        self._stop_until = until

    def _in_hand(self) -> None:
        """A scheduler has something in hand: now it can be stopped where it hurts."""
        leader, until = self._leader(), self._stop_until
        if until is None or leader is None or self.timeline.chance(0.5):
            return
        self._stop_until = None
        if until <= self.timeline.now + 2 * _LEASE:
            until = self.timeline.now + self.timeline.seconds(90, 900)
        leader.process.stopped_until = until
        self.memory.lease = replace(self.memory.lease, until=self.timeline.now + _LEASE)
        self.timeline.at(until, self._resume, leader)
        self.timeline.after(_LEASE + _TICK, self.wake_now)

    def _resume(self, scheduler: Scheduler) -> None:
        scheduler.process.stopped_until = None
        if self.memory.lease.holder == scheduler.process.name:
            self.memory.lease = replace(self.memory.lease, until=None)

    def wake_now(self) -> None:
        """Let the next look happen at once."""
        self._tick_at = self.timeline.now
        self.timeline.at(self.timeline.now, self._tick, self.timeline.now)

    def restore(self, backup: Tables, down: timedelta) -> None:
        """Somebody puts an older database back; the ledger outside knows better."""
        self.kill(down)
        self.memory.restore(backup, self.timeline.now)
        self.shared.held_time.clear()
        self.memory.write(
            [Event(EventKind.RESTORED, "operator", "database", paragraph="A12")], self.timeline.now
        )
        if self.memory.tables.off:
            self.history.sometimes["restored while a machine was off the network"] += 1

    def _patrol(self) -> None:
        """Read the ports with our mark back, adopt or correct (R15), and look whether a campaign must halt."""
        self.timeline.after(PATROL_EVERY, self._patrol)
        if self._leader() is None or not self.shared.world.switches.reachable:
            return
        ports = self.core.read_ports(self.shared.world.switches.closed.keys())
        off = self.memory.tables.off
        if ports is not None and (ports or off):
            read = {(campaign, device) for device, campaign in ports}
            for key in sorted(read ^ off.keys()):
                self._correct(key, closed=key in read)
        for id in self.memory.tables.campaigns:  # noqa: A001
            self.halt_if_failing(id)

    def _correct(self, key: Key, *, closed: bool) -> None:
        """Believe the switch, not the memory."""
        record = self.memory.tables.records.get(key)
        if record is None:
            return
        what = (
            "a closed port nobody remembered was adopted" if closed else "a port opened by others was noticed"
        )
        self.history.sometimes[what] += 1
        self.memory.put(key, self.core.after_reading(record, closed, self.timeline.now), self.timeline.now)
        self.wake()
