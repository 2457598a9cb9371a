"""The server's database in memory, with the real one's promises: all or nothing, unique intents, a fenced lease."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from typing import NamedTuple

from forestall.domain.action import Action
from forestall.domain.brakes import Held
from forestall.domain.campaign import Campaign
from forestall.domain.case import Moment, moment_of
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.events import EMPTY, Entry, Event, EventKind, Head, chain
from forestall.domain.intent import Intent, intent_of
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.record import Receipt, Record
from forestall.domain.trial import Trial

Key = tuple[CampaignId, DeviceId]
"""Names a record."""


class IntentKey(NamedTuple):
    """What makes an intent the same one (A12)."""

    campaign: CampaignId
    revision: int
    device: DeviceId
    action: Action
    round: int


def key_of(intent: Intent) -> IntentKey:
    """Name an intent."""
    return IntentKey(intent.campaign, intent.revision, intent.device, intent.action, intent.round)


_BINDING = (Action.INSTALL, Action.OFFER, Action.EXPECT)
"""An agent that was offered the patch is bound by the order (A11); one that is expected is upgraded at the door."""


class Stored(NamedTuple):
    """An intent, when it was decided, and what became of it."""

    intent: Intent
    at: datetime
    receipt: Receipt | None = None


class Deed(NamedTuple):
    """Something that a cap counts."""

    at: datetime
    site: SiteId


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may act, and until when."""

    holder: str = ""
    epoch: int = 0
    until: datetime | None = None


@dataclass(slots=True)
class Outside:
    """The ledger's copy outside the server: it outlives every restore."""

    entries: list[Entry] = field(default_factory=list[Entry])
    intended: set[IntentKey] = field(default_factory=set[IntentKey])
    ordered: set[tuple[CampaignId, DeviceId, Action]] = field(
        default_factory=set[tuple[CampaignId, DeviceId, Action]]
    )

    @property
    def head(self) -> Head:
        """Name the newest entry."""
        return Head(self.entries[-1].sequence, self.entries[-1].hash) if self.entries else EMPTY

    def names(self, key: IntentKey | None, device: DeviceId, campaign: CampaignId) -> bool:
        """Say whether an intent is written; without a key, one of those that let an agent install by itself."""
        if key is not None:
            return key in self.intended
        return any((campaign, device, action) in self.ordered for action in _BINDING)


@dataclass(slots=True)
class Tables:
    """Everything a backup holds; all values in it are immutable."""

    records: dict[Key, Record] = field(default_factory=dict[Key, Record])
    campaigns: dict[CampaignId, Campaign] = field(default_factory=dict[CampaignId, Campaign])
    intents: dict[IntentKey, Stored] = field(default_factory=dict[IntentKey, Stored])
    open: dict[IntentKey, None] = field(default_factory=dict[IntentKey, None])
    sequences: dict[DeviceId, int] = field(default_factory=dict[DeviceId, int])
    """The last report of each agent: a repeated or overtaken one is ignored (R21)."""
    removals: list[Deed] = field(default_factory=list[Deed])
    """Ordered removals."""
    closings: dict[IntentKey, Deed] = field(default_factory=dict[IntentKey, Deed])
    """Removals that were begun at a switch, oldest first."""
    off: dict[Key, None] = field(default_factory=dict[Key, None])
    """Machines whose port is closed."""
    forced: list[Deed] = field(default_factory=list[Deed])
    raised: dict[CampaignId, int] = field(default_factory=dict[CampaignId, int])
    trials: dict[Key, Trial] = field(default_factory=dict[Key, Trial])
    head: Head = EMPTY
    """The newest entry of the ledger that these tables reflect."""

    def enlist(self, devices: Iterable[Device], campaign: CampaignId) -> None:
        """Make the records that a campaign begins with; what the network knows of a machine comes along."""
        known = {device: record for (_, device), record in self.records.items()}
        for device in devices:
            old = known.get(device.id)
            self.records[campaign, device.id] = Record(
                device.id, device.site, device.managed, bool(device.owner), device.protected,
                seen_at=old.seen_at if old else None, heard_at=old.heard_at if old else None,
            )  # fmt: skip

    def copy(self) -> "Tables":
        """Copy all tables."""
        return Tables(
            dict(self.records), dict(self.campaigns), dict(self.intents), dict(self.open), dict(self.sequences),
            list(self.removals), dict(self.closings), dict(self.off), list(self.forced),
            dict(self.raised), dict(self.trials), self.head,
        )  # fmt: skip


@dataclass(slots=True)
class Memory:
    """The database. `tables` is what a restore puts back; the rest does not survive it."""

    policy: Policy
    outside: Outside = field(default_factory=Outside)
    tables: Tables = field(default_factory=Tables)
    lease: Lease = field(default_factory=Lease)
    restored_at: datetime | None = None
    """A backup was last put back."""
    held: dict[Key, tuple[Held, datetime]] = field(default_factory=dict[Key, tuple[Held, datetime]])
    """What a brake holds now, and since when."""
    waiting: dict[Key, tuple[int, datetime]] = field(default_factory=dict[Key, tuple[int, datetime]])
    """Since when a brake has kept a machine's removal waiting, however often it was checked again; by episode."""
    look_at: dict[Key, datetime] = field(default_factory=dict[Key, datetime])
    """When a record is worth a look; only a hint."""
    _queue: list[tuple[datetime, Key]] = field(default_factory=list[tuple[datetime, Key]])
    _moments: dict[CampaignId, Moment] = field(default_factory=dict[CampaignId, Moment])

    # -- when to look -----------------------------------------------------------------------------------------

    def look(self, key: Key, at: datetime) -> None:
        """Remember when a record is worth the next look."""
        self.look_at[key] = at
        heappush(self._queue, (at, key))

    def look_at_all(self, at: datetime, campaign: CampaignId | None = None) -> None:
        """Let every record be looked at."""
        for key in self.tables.records:
            if campaign is None or key[0] == campaign:
                self.look(key, at)

    def due(self, now: datetime) -> list[Key]:
        """Take the records that are worth a look now, in a fixed order."""
        found: set[Key] = set()
        queue = self._queue
        while queue and queue[0][0] <= now:
            at, key = heappop(queue)
            if self.look_at.get(key) == at:
                found.add(key)
        return sorted(found)

    def next_look(self) -> datetime | None:
        """Say when the next record is worth a look."""
        queue = self._queue
        while queue and self.look_at.get(queue[0][1]) != queue[0][0]:
            heappop(queue)
        return queue[0][0] if queue else None

    def moment(self, campaign: CampaignId, now: datetime) -> Moment:
        """Find what is true of a campaign now, once an instant."""
        found = self._moments.get(campaign)
        if found is None or found.now != now:
            found = self._moments[campaign] = moment_of(self.tables.campaigns[campaign], now, self.policy)
        return found

    def forget_moment(self, campaign: CampaignId) -> None:
        """A campaign has changed within this instant."""
        self._moments.pop(campaign, None)

    # -- transactions -----------------------------------------------------------------------------------------

    @property
    def unreplayed(self) -> bool:
        """The tables are an older backup, and nobody has replayed the ledger since."""
        return self.tables.head.sequence < self.outside.head.sequence

    def put(self, key: Key, record: Record, now: datetime) -> None:
        """Keep a record and let it be looked at, if anything has changed."""
        if record is self.tables.records.get(key):
            return
        self.tables.records[key] = record
        if record.quarantined_at is not None:
            self.tables.off[key] = None
        else:
            self.tables.off.pop(key, None)
        self.look(key, now)

    def change_campaign(self, campaign: Campaign, event: Event, now: datetime) -> None:
        """Keep a campaign with its ledger entry."""
        self.write([event], now)
        self.tables.campaigns[campaign.id] = campaign
        self.forget_moment(campaign.id)
        self.look_at_all(now, campaign.id)

    def write(self, events: Sequence[Event], now: datetime) -> None:
        """Put events into the ledger and its copy outside.

        The chain goes on behind the newest entry outside even on a restored backup: what was written since the
        backup stays written. The tables reflect it only after a replay.
        """
        last = self.outside.head
        entries = chain(events, now, last.sequence, last.hash)
        self.outside.entries.extend(entries)
        if self.tables.head == last and entries:
            self.tables.head = Head(entries[-1].sequence, entries[-1].hash)
        for key in filter(None, map(intended_key, events)):
            self.outside.intended.add(key)
            self.outside.ordered.add((key.campaign, key.device, key.action))

    def restore(self, backup: Tables, now: datetime) -> None:
        """Put a backup back: everything since is gone, but not the ledger outside."""
        self.tables, self.restored_at = backup.copy(), now
        self.held.clear()
        self.waiting.clear()
        self.look_at.clear()
        self._queue.clear()
        self._moments.clear()


def intended_key(event: Event) -> IntentKey | None:
    """Name the intent that an entry announces."""
    intent = intent_of(event) if event.kind is EventKind.INTENDED else None
    return key_of(intent) if intent else None


def recent(deeds: Iterable[Deed], since: datetime) -> Iterable[Deed]:
    """List deeds, which come newest first, back to an instant."""
    for deed in deeds:
        if deed.at <= since:
            return
        yield deed
