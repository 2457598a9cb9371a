"""One scheduler process: it looks, decides, writes intents, and carries them out while the lease is its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from forestall.domain.action import Action
from forestall.domain.brakes import HARMLESS, Held, Load, force_at
from forestall.domain.intent import Intent, concluded, intended
from forestall.domain.order import CampaignId
from forestall.domain.policy import HOUR, MINUTE
from forestall.domain.record import Outcome, Receipt
from forestall.simulate.changes import changes_at
from forestall.simulate.memory import Deed, IntentKey, Lease, Stored, key_of, recent
from forestall.simulate.switches import CONFIRM_AFTER

if TYPE_CHECKING:
    from forestall.simulate.server import Server

MAILED = frozenset({Action.ANNOUNCE, Action.WARN, Action.ASK})
CARRIED_OUT = MAILED | {Action.QUARANTINE, Action.RELEASE, Action.LOOK}
"""What somebody must do; the rest is read from the record by agents and staff."""

_LEDGERED = frozenset({Action.WARN, Action.QUARANTINE, Action.RELEASE})
"""Whose end is written down as well; a look leaves evidence instead."""

_MAIL_GIVES_UP_AFTER = 4 * HOUR


class Batch(NamedTuple):
    """What one look decided, still to be written."""

    epoch: int
    permitted: tuple[Intent, ...]
    spent: dict[CampaignId, int]


class Scheduler:
    """A process that may be stopped, killed and started again."""

    def __init__(self, name: str, server: Server) -> None:
        self.name = name
        self.server = server
        self.epoch = 0
        self.life = 0
        self.stopped_until: datetime | None = None

    def later(self, wait: timedelta, do: Callable[..., None], *args: object) -> None:
        """Go on after a while: not at all when killed by then, later when stopped."""
        self.server.timeline.after(wait, self._go_on, self.life, do, args)

    def _go_on(self, life: int, do: Callable[..., None], args: tuple[object, ...]) -> None:
        if life != self.life:
            return
        if self.stopped_until is not None:
            self.server.timeline.at(self.stopped_until, self._go_on, life, do, args)
        else:
            do(*args)

    def start(self, epoch: int) -> None:
        """Take over: everything is looked at, everything open is carried out."""
        self.epoch = epoch
        memory, now = self.server.memory, self.server.timeline.now
        memory.look_at_all(now)
        for key in memory.tables.open:
            self.later(timedelta(seconds=2), self.carry_out, key)

    # -- gather and decide ------------------------------------------------------------------------------------

    def look(self) -> None:
        """Decide for every record that is worth a look; the writing follows a moment later."""
        server, memory = self.server, self.server.memory
        now, core = server.timeline.now, server.core
        found: dict[CampaignId, list[Intent]] = {}
        for key in memory.due(now):
            record, campaign = memory.tables.records[key], memory.tables.campaigns[key[0]]
            moment = memory.moment(key[0], now)
            rule = core.decide(core.case_of(record, moment))
            intent = core.intend(record, rule, campaign.id, campaign.revision)
            if intent is not None and key_of(intent) not in memory.tables.intents:
                found.setdefault(campaign.id, []).append(intent)
            elif key in memory.held:
                del memory.held[key]
            again_at = changes_at(record, campaign, moment)
            if again_at is not None:
                memory.look(key, again_at)
        if found:
            self._brake(found, now)

    def _brake(self, found: dict[CampaignId, list[Intent]], now: datetime) -> None:
        server, memory = self.server, self.server.memory
        permitted: list[Intent] = []
        spent: dict[CampaignId, int] = {}
        for campaign, intents in found.items():
            braked = server.core.brake(
                intents, memory.tables.campaigns[campaign], self._load(now, ordered=True), now, memory.policy,
                observing=server.observing(), raised=memory.tables.raised.get(campaign, 0),
            )  # fmt: skip
            permitted += braked.permitted
            spent[campaign] = braked.spent
            for held in braked.held:
                self._hold(held, now)
            for intent in braked.permitted:
                self._let_go(intent, now)
        if permitted:
            batch = Batch(self.epoch, tuple(permitted), spent)
            self.later(timedelta(seconds=1), self.write, batch)
            if any(intent.action in _LEDGERED for intent in permitted):
                self.server.in_hand()

    def _hold(self, held: Held, now: datetime) -> None:
        memory, key = self.server.memory, (held.intent.campaign, held.intent.device)
        since = memory.held[key][1] if key in memory.held else now
        memory.held[key] = (held, since)
        again_at = now + (5 * MINUTE if held.paragraph == "A12" else MINUTE)
        if held.brake == "wave":
            campaign = memory.tables.campaigns[held.intent.campaign]
            again_at = max(again_at, force_at(campaign, held.intent.device, self.server.fleet, memory.policy))
        memory.look(key, again_at)
        self.server.history.sometimes[f"held: {held.brake}"] += 1

    def _let_go(self, intent: Intent, now: datetime) -> None:
        key = (intent.campaign, intent.device)
        _, since = self.server.memory.held.pop(key, (None, now))
        if intent.action is Action.QUARANTINE:
            self.server.held_time[key] = now - since

    def _load(self, now: datetime, *, ordered: bool) -> Load:
        """Count what was done lately: as ordered, or as begun at the switches."""
        tables, server = self.server.memory.tables, self.server
        removals = reversed(tables.removals) if ordered else reversed(tables.closings.values())
        hour = list(recent(removals, now - HOUR))
        sites: dict[object, int] = {}
        for deed in hour:
            sites[deed.site] = sites.get(deed.site, 0) + 1
        return Load(
            fleet=server.fleet,
            sites=server.sites,
            removed_in_minute=sum(deed.at > now - MINUTE for deed in hour),
            removed_in_hour=len(hour),
            removed_at_site=sites,  # type: ignore[arg-type]  # site ids
            forced_in_minute=sum(1 for _ in recent(reversed(tables.forced), now - MINUTE)),
            protected=server.protected,
        )

    # -- write ------------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """Write intents and their ledger entries in one transaction that checks the lease."""
        server, memory = self.server, self.server.memory
        if server.core.fenced(batch.epoch, memory.lease.epoch):
            server.history.sometimes["a deposed scheduler's intents were refused"] += 1
            return
        now, tables = server.timeline.now, memory.tables
        fresh = [intent for intent in batch.permitted if key_of(intent) not in tables.intents]
        first, _ = server.core.written([intended(i, self.name) for i in fresh if i.action is not Action.LOOK])
        memory.write(first, now)
        for campaign, spent in batch.spent.items():
            if spent:
                tables.raised[campaign] -= spent
        for intent in fresh:
            self._store(intent, now)

    def _store(self, intent: Intent, now: datetime) -> None:
        memory, tables, key = self.server.memory, self.server.memory.tables, key_of(intent)
        outside = intent.action in CARRIED_OUT
        tables.intents[key] = Stored(intent, now, None if outside else Receipt(Outcome.DONE, now))
        record_key = (intent.campaign, intent.device)
        memory.put(
            record_key, self.server.core.after_intent(tables.records[record_key], intent.action, now), now
        )
        if intent.action is Action.QUARANTINE:
            tables.removals.append(Deed(now, intent.site))
        elif intent.action is Action.INSTALL:
            tables.forced.append(Deed(now, intent.site))
        if outside:
            tables.open[key] = None
            self.later(self.server.timeline.seconds(0.5, 4), self.carry_out, key)
            if intent.action in _LEDGERED:
                self.server.in_hand()
        else:
            self.server.hand_on(intent)

    # -- carry out --------------------------------------------------------------------------------------------

    def carry_out(self, key: IntentKey) -> None:
        """Do what an intent says, after asking once more whether it is still wanted."""
        server, tables = self.server, self.server.memory.tables
        if key not in tables.open:
            return
        if server.core.fenced(self.epoch, server.memory.lease.epoch):
            server.history.sometimes["a deposed scheduler did not act"] += 1
            return
        if key.action not in HARMLESS and server.observing():
            self.later(5 * MINUTE, self.carry_out, key)
            return
        now = server.timeline.now
        record = tables.records[key.campaign, key.device]
        case = server.core.case_of(record, server.memory.moment(key.campaign, now))
        other = server.core.guard(key.action, case)
        if other is not None:
            server.history.sometimes[f"{key.action} dropped right before"] += 1
            self._conclude(key, Outcome.DROPPED, other.name)
        elif key.action in MAILED:
            self._mail(key)
        elif key.action is Action.LOOK:
            server.world.probe(key.device, key.campaign)
            self._conclude(key, Outcome.DONE)
        else:
            self._turn_port(key)

    def _conclude(self, key: IntentKey, outcome: Outcome, detail: str = "") -> None:
        server, memory, tables = self.server, self.server.memory, self.server.memory.tables
        now, stored = server.timeline.now, tables.intents[key]
        receipt = Receipt(outcome, now, detail)
        _, late = server.core.written([intended(stored.intent, self.name)])
        ledgered = key.action in _LEDGERED
        memory.write([*late, *([concluded(stored.intent, receipt, self.name)] if ledgered else [])], now)
        tables.intents[key] = stored._replace(receipt=receipt)
        del tables.open[key]
        record_key = (key.campaign, key.device)
        memory.put(
            record_key, server.core.after_receipt(tables.records[record_key], key.action, receipt), now
        )

    def _mail(self, key: IntentKey) -> None:
        server = self.server
        accepted = server.world.post(key, self._lease())
        if accepted is None:
            waited = server.timeline.now - server.memory.tables.intents[key].at
            if waited < _MAIL_GIVES_UP_AFTER:
                self._failed(key)
                self.later(10 * MINUTE, self.carry_out, key)
                return
        server.history.sometimes["a mail was refused"] += not accepted
        self._conclude(key, Outcome.DONE if accepted else Outcome.REFUSED)

    def _failed(self, key: IntentKey) -> None:
        """Nobody answered: the record learns it, the intent stays open."""
        memory, record_key, now = self.server.memory, (key.campaign, key.device), self.server.timeline.now
        record = memory.tables.records[record_key]
        changed = self.server.core.after_receipt(record, key.action, Receipt(Outcome.FAILED, now))
        if changed is not record:
            memory.put(record_key, changed, now)

    def _lease(self) -> Lease:
        """The right to act as this process believes to hold it."""
        return Lease(self.name, self.epoch)

    def _turn_port(self, key: IntentKey) -> None:
        server, close = self.server, key.action is Action.QUARANTINE
        mark = (key.device, key.campaign)
        ports = server.core.read_ports(server.world.switches.closed.keys())
        if ports is not None and (mark in ports) is close:
            self._turned(key)
            return
        if not server.world.switches.reachable:
            self.later(2 * MINUTE, self.carry_out, key)
            return
        if close and not self._may_close(key):
            self.later(MINUTE, self.carry_out, key)
            return
        turn = server.world.port_closed if close else server.world.port_opened
        said = turn(mark, key, self._lease())
        self.later(CONFIRM_AFTER, self._confirm, key, said)

    def _may_close(self, key: IntentKey) -> bool:
        """Apply the caps once more to what really reaches the switches, at the instant it does (A8)."""
        server, now = self.server, self.server.timeline.now
        server.memory.tables.closings.pop(key, None)
        intent = server.memory.tables.intents[key].intent
        campaign = server.memory.tables.campaigns[key.campaign]
        raised = server.world.raised.get(key.campaign, 0)
        load = self._load(now, ordered=False)
        braked = server.core.brake([intent], campaign, load, now, server.memory.policy, raised=raised)
        if not braked.permitted:
            server.history.sometimes["held by the caps at the switch"] += 1
            return False
        server.memory.tables.closings[key] = Deed(now, intent.site)
        return True

    def _confirm(self, key: IntentKey, said: bool | None) -> None:
        server = self.server
        if key not in server.memory.tables.open or server.core.fenced(self.epoch, server.memory.lease.epoch):
            return
        ports = (
            server.core.read_ports(server.world.switches.closed.keys())
            if server.world.switches.reachable
            else frozenset()
        )
        close = key.action is Action.QUARANTINE
        done = (
            said is True
            if ports is None
            else server.world.switches.reachable and (((key.device, key.campaign) in ports) is close)
        )
        if said is True and not done:
            server.history.sometimes["a switch was caught lying"] += 1
        if done:
            self._turned(key)
        else:
            self.later(2 * MINUTE, self.carry_out, key)

    def _turned(self, key: IntentKey) -> None:
        world, mark = self.server.world, (key.device, key.campaign)
        self._conclude(key, Outcome.DONE)
        if key.action is Action.QUARANTINE:
            world.closed(mark, self.server.held_for(key))
        else:
            world.opened(mark)
