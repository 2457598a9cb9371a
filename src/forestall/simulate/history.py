"""What truly happened, written down by the world for the invariants to judge; the server never reads it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from forestall.domain.device import DeviceId, SiteId
from forestall.domain.order import CampaignId
from forestall.simulate.memory import IntentKey


class Kind(StrEnum):
    """What reached a machine or its owner."""

    WARNED = "warned"
    CLOSED = "closed"
    OPENED = "opened"
    FORCED = "forced"


class Effect(NamedTuple):
    """One thing that reached the world, with the truth at that instant."""

    at: datetime
    kind: Kind
    device: DeviceId
    site: SiteId
    campaign: CampaignId
    intent: IntentKey | None
    epoch: int
    newest_epoch: int
    recorded: bool
    """The ledger outside named it before it happened."""
    again: bool
    """It had been done already."""
    restored_at: datetime | None
    """Since when the database was a backup that nobody had replayed."""
    protected: bool
    exempt: bool
    clean_since: datetime | None
    shown_at: datetime | None
    """When a witness last saw it vulnerable."""
    warned_at: datetime | None
    """When a mail server accepted the final warning that still stands."""
    waived: bool
    """Two people decided that no accepted warning is needed."""
    deadline_at: datetime | None
    stopped_at: datetime | None
    """Since when the campaign was halted or withdrawn."""
    told: bool
    """The server could have said that it must not be."""
    raised: int
    """Removals beyond the caps that two people had allowed."""


class Release(NamedTuple):
    """How long a fixed machine waited at a closed port."""

    device: DeviceId
    campaign: CampaignId
    heard_at: datetime
    """A witness said that it is fixed, and the server heard it."""
    opened_at: datetime | None
    """None: still closed at the end."""


class Removal(NamedTuple):
    """From the accepted warning to the closed port."""

    warned_at: datetime
    closed_at: datetime
    held: timedelta
    """How long a brake held it."""


@dataclass(slots=True)
class History:
    """Everything that truly happened in one run."""

    effects: list[Effect] = field(default_factory=list[Effect])
    releases: list[Release] = field(default_factory=list[Release])
    removals: list[Removal] = field(default_factory=list[Removal])
    sometimes: Counter[str] = field(default_factory=Counter[str])
    """How often each thing worth testing came about."""
