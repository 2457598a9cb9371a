"""What carries intents out: guarded once more right before, read back afterwards, answered by a receipt."""

from collections import Counter
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.brakes import HARMLESS, Load
from forestall.domain.device import SiteId
from forestall.domain.intent import concluded, intended
from forestall.domain.policy import HOUR, MINUTE
from forestall.domain.record import Outcome, Receipt
from forestall.simulate import life
from forestall.simulate.memory import Deed, IntentKey, recent
from forestall.simulate.process import Process
from forestall.simulate.shared import Shared
from forestall.simulate.switches import CONFIRM_AFTER

MAILED = frozenset({Action.ANNOUNCE, Action.WARN, Action.ASK})
CARRIED_OUT = MAILED | {Action.QUARANTINE, Action.RELEASE, Action.LOOK}
"""What somebody must do; the rest is read from the record by agents and staff."""

LEDGERED = frozenset({Action.WARN, Action.QUARANTINE, Action.RELEASE})
"""Whose end is written down as well; a look leaves evidence instead."""

_MAIL_GIVES_UP_AFTER = 4 * HOUR


def load_of(shared: Shared, now: datetime, *, begun: bool) -> Load:
    """Count what was done lately: as ordered, or as begun at the switches."""
    tables = shared.memory.tables
    removals = reversed(tables.closings.values()) if begun else reversed(tables.removals)
    hour = list(recent(removals, now - HOUR))
    return Load(
        fleet=shared.fleet,
        sites=shared.sites,
        removed_in_minute=sum(deed.at > now - MINUTE for deed in hour),
        removed_in_hour=len(hour),
        removed_at_site=Counter[SiteId](deed.site for deed in hour),
        forced_in_minute=sum(1 for _ in recent(reversed(tables.forced), now - MINUTE)),
        protected=shared.protected,
    )


class Hands:
    """The effects of one process."""

    def __init__(self, process: Process, shared: Shared) -> None:
        self._process = process
        self._shared = shared

    def carry_out(self, key: IntentKey) -> None:
        """Do what an intent says, after asking once more whether it is still wanted."""
        shared, tables = self._shared, self._shared.memory.tables
        if key not in tables.open:
            return
        if shared.core.fenced(self._process.epoch, shared.memory.lease.epoch):
            shared.history.sometimes["a deposed scheduler did not act"] += 1
            return
        if key.action not in HARMLESS and shared.observing():
            self._process.later(5 * MINUTE, self.carry_out, key)
            return
        now = shared.timeline.now
        record = tables.records[key.campaign, key.device]
        case = shared.core.case_of(record, shared.memory.moment(key.campaign, now))
        other = shared.core.guard(key.action, case)
        if other is not None:
            shared.history.sometimes[f"{key.action} dropped right before"] += 1
            self._conclude(key, Outcome.DROPPED, other.name)
        elif key.action in MAILED:
            self._mail(key)
        elif key.action is Action.LOOK:
            shared.world.probe(key.device, key.campaign)
            self._conclude(key, Outcome.DONE)
        else:
            self._turn_port(key)

    def _conclude(self, key: IntentKey, outcome: Outcome, detail: str = "") -> None:
        shared, memory = self._shared, self._shared.memory
        tables = memory.tables
        now, stored = shared.timeline.now, tables.intents[key]
        receipt = Receipt(outcome, now, detail)
        _, late = shared.core.written([intended(stored.intent, self._process.name)])
        ended = [concluded(stored.intent, receipt, self._process.name)] if key.action in LEDGERED else []
        memory.write([*late, *ended], now)
        tables.intents[key] = stored._replace(receipt=receipt)
        del tables.open[key]
        record_key = (key.campaign, key.device)
        memory.put(
            record_key, shared.core.after_receipt(tables.records[record_key], key.action, receipt), now
        )

    def _mail(self, key: IntentKey) -> None:
        shared = self._shared
        accepted = life.post(shared.world, key, self._process.lease)
        if accepted is None:
            waited = shared.timeline.now - shared.memory.tables.intents[key].at
            if waited < _MAIL_GIVES_UP_AFTER:
                self._failed(key)
                self._process.later(10 * MINUTE, self.carry_out, key)
                return
        shared.history.sometimes["a mail was refused"] += not accepted
        self._conclude(key, Outcome.DONE if accepted else Outcome.REFUSED)

    def _failed(self, key: IntentKey) -> None:
        """Nobody answered: the record learns it, the intent stays open."""
        memory, record_key, now = self._shared.memory, (key.campaign, key.device), self._shared.timeline.now
        record = memory.tables.records[record_key]
        changed = self._shared.core.after_receipt(record, key.action, Receipt(Outcome.FAILED, now))
        if changed is not record:
            memory.put(record_key, changed, now)

    def _turn_port(self, key: IntentKey) -> None:
        shared, close = self._shared, key.action is Action.QUARANTINE
        mark = (key.device, key.campaign)
        ports = shared.core.read_ports(shared.world.switches.closed.keys())
        if ports is not None and (mark in ports) is close:
            self._turned(key)
            return
        if not shared.world.switches.reachable:
            self._process.later(2 * MINUTE, self.carry_out, key)
            return
        if close and not self._may_close(key):
            self._process.later(MINUTE, self.carry_out, key)
            return
        turn = shared.world.port_closed if close else shared.world.port_opened
        said = turn(mark, key, self._process.lease)
        if close:
            life.cut_off(shared.world, key.device, key.campaign)
        self._process.later(CONFIRM_AFTER, self._confirm, key, said)

    def _may_close(self, key: IntentKey) -> bool:
        """Apply the caps once more to what really reaches the switches, at the instant it does (A8)."""
        shared, now = self._shared, self._shared.timeline.now
        shared.memory.tables.closings.pop(key, None)
        intent = shared.memory.tables.intents[key].intent
        campaign = shared.memory.tables.campaigns[key.campaign]
        raised = shared.world.raised.get(key.campaign, 0)
        load = load_of(shared, now, begun=True)
        braked = shared.core.brake([intent], campaign, load, now, shared.memory.policy, raised=raised)
        if not braked.permitted:
            shared.history.sometimes["held by the caps at the switch"] += 1
            return False
        shared.memory.tables.closings[key] = Deed(now, intent.site)
        return True

    def _confirm(self, key: IntentKey, said: bool | None) -> None:
        shared = self._shared
        tables = shared.memory.tables
        if key not in tables.open or shared.core.fenced(self._process.epoch, shared.memory.lease.epoch):
            return
        done = self._read_back(key, said)
        if said is True and not done:
            shared.history.sometimes["a switch was caught lying"] += 1
        if done:
            self._turned(key)
        else:
            self._process.later(2 * MINUTE, self.carry_out, key)

    def _read_back(self, key: IntentKey, said: bool | None) -> bool:
        """Say whether the port is as it should be: read from the switch, not believed (R15)."""
        switches, close = self._shared.world.switches, key.action is Action.QUARANTINE
        if not switches.reachable:
            return False
        ports = self._shared.core.read_ports(switches.closed.keys())
        return said is True if ports is None else ((key.device, key.campaign) in ports) is close

    def _turned(self, key: IntentKey) -> None:
        world, mark = self._shared.world, (key.device, key.campaign)
        self._conclude(key, Outcome.DONE)
        if key.action is Action.QUARANTINE:
            world.closed(mark, self._shared.held_for(key))
        else:
            world.opened(mark)
