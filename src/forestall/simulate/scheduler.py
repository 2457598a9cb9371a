"""One scheduler: it looks, decides, and writes intents while the lease is its own; its hands carry them out."""

from datetime import datetime, timedelta
from typing import NamedTuple

from forestall.domain.action import Action
from forestall.domain.brakes import Held, force_at
from forestall.domain.intent import Intent, intended
from forestall.domain.order import CampaignId
from forestall.domain.policy import MINUTE
from forestall.domain.record import Outcome, Receipt
from forestall.simulate.changes import changes_at
from forestall.simulate.hands import CARRIED_OUT, LEDGERED, Hands, load_of
from forestall.simulate.memory import Deed, Stored, key_of
from forestall.simulate.process import Process
from forestall.simulate.shared import Shared


class Batch(NamedTuple):
    """What one look decided, still to be written."""

    epoch: int
    permitted: tuple[Intent, ...]
    spent: dict[CampaignId, int]


class Scheduler:
    """A process that decides."""

    def __init__(self, name: str, shared: Shared) -> None:
        self.process = Process(name, shared.timeline)
        self._shared = shared
        self._hands = Hands(self.process, shared)

    def start(self, epoch: int) -> None:
        """Take over: everything is looked at, everything open is carried out."""
        self.process.epoch = epoch
        memory = self._shared.memory
        memory.look_at_all(self._shared.timeline.now)
        for key in memory.tables.open:
            self.process.later(timedelta(seconds=2), self._hands.carry_out, key)

    # -- gather and decide ------------------------------------------------------------------------------------

    def look(self) -> None:
        """Decide for every record that is worth a look; the writing follows a moment later."""
        shared, memory = self._shared, self._shared.memory
        now, core = shared.timeline.now, shared.core
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
        shared, memory = self._shared, self._shared.memory
        permitted: list[Intent] = []
        spent: dict[CampaignId, int] = {}
        for campaign, intents in found.items():
            braked = shared.core.brake(
                intents, memory.tables.campaigns[campaign], load_of(shared, now, begun=False), now, memory.policy,
                observing=shared.observing(), raised=memory.tables.raised.get(campaign, 0),
            )  # fmt: skip
            permitted += braked.permitted
            spent[campaign] = braked.spent
            for held in braked.held:
                self._hold(held, now)
            for intent in braked.permitted:
                self._let_go(intent, now)
        if permitted:
            batch = Batch(self.process.epoch, tuple(permitted), spent)
            self.process.later(timedelta(seconds=1), self.write, batch)
            if any(intent.action in LEDGERED for intent in permitted):
                self._shared.grasp()

    def _hold(self, held: Held, now: datetime) -> None:
        memory, key = self._shared.memory, (held.intent.campaign, held.intent.device)
        since = memory.held[key][1] if key in memory.held else now
        memory.held[key] = (held, since)
        episode = memory.tables.records[key].episode
        if held.intent.action is Action.QUARANTINE and memory.waiting.get(key, (-1, now))[0] != episode:
            memory.waiting[key] = (episode, now)
        again_at = now + (5 * MINUTE if held.paragraph == "A12" else MINUTE)
        if held.brake == "wave":
            campaign = memory.tables.campaigns[held.intent.campaign]
            again_at = max(
                again_at, force_at(campaign, held.intent.device, self._shared.fleet, memory.policy)
            )
        memory.look(key, again_at)
        self._shared.history.sometimes[f"held: {held.brake}"] += 1

    def _let_go(self, intent: Intent, now: datetime) -> None:
        key = (intent.campaign, intent.device)
        memory = self._shared.memory
        memory.held.pop(key, None)
        if intent.action is Action.QUARANTINE:
            episode, since = memory.waiting.pop(key, (-1, now))
            current = memory.tables.records[key].episode
            self._shared.held_time[key] = now - since if episode == current else timedelta()

    # -- write ------------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> None:
        """Write intents and their ledger entries in one transaction that checks the lease."""
        shared, memory = self._shared, self._shared.memory
        if shared.core.fenced(batch.epoch, memory.lease.epoch):
            shared.history.sometimes["a deposed scheduler's intents were refused"] += 1
            return
        now, tables = shared.timeline.now, memory.tables
        fresh = [intent for intent in batch.permitted if key_of(intent) not in tables.intents]
        first, _ = shared.core.written(
            [intended(i, self.process.name) for i in fresh if i.action is not Action.LOOK]
        )
        memory.write(first, now)
        for campaign, spent in batch.spent.items():
            if spent:
                tables.raised[campaign] -= spent
        for intent in fresh:
            self._store(intent, now)

    def _store(self, intent: Intent, now: datetime) -> None:
        memory, tables, key = self._shared.memory, self._shared.memory.tables, key_of(intent)
        outside = intent.action in CARRIED_OUT
        tables.intents[key] = Stored(intent, now, None if outside else Receipt(Outcome.DONE, now))
        record_key = (intent.campaign, intent.device)
        memory.put(
            record_key, self._shared.core.after_intent(tables.records[record_key], intent.action, now), now
        )
        if intent.action is Action.QUARANTINE:
            tables.removals.append(Deed(now, intent.site))
        elif intent.action is Action.INSTALL:
            tables.forced.append(Deed(now, intent.site))
        if outside:
            tables.open[key] = None
            self.process.later(self._shared.timeline.seconds(0.5, 4), self._hands.carry_out, key)
            if intent.action in LEDGERED:
                self._shared.grasp()
        else:
            self._shared.hand_on(intent)
