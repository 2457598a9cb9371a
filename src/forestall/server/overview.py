"""How things stand, gathered once for the page and for the commands."""

from dataclasses import dataclass
from datetime import datetime

from forestall.domain.campaign import Campaign, Phase
from forestall.domain.device import Device
from forestall.domain.errors import InputError
from forestall.domain.metrics import Standing, standing
from forestall.domain.order import CampaignId
from forestall.domain.policy import Policy
from forestall.domain.remediation import RemediationId
from forestall.server.disagreements import undecided
from forestall.server.rings import RingStanding, standing_of
from forestall.server.triage import TriageRow, triage
from forestall.store import campaigns, devices, feeds, intents, records
from forestall.store.database import Connection, Database

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One campaign and how it stands."""

    id: CampaignId
    remediation: RemediationId
    phase: Phase
    deadline_at: datetime | None
    halted_because: str
    standing: Standing
    held: int
    """Machines for which something waits behind a brake."""
    open_over_time: tuple[tuple[datetime, int], ...]
    """How many machines were still vulnerable after each change, from the distribution on."""
    test: RingStanding | None
    """The hours since the hand-over and what the rings answer (P4); None once it has ended."""


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One source."""

    name: str
    last_good_at: datetime | None
    records: int
    trouble: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the status page shows."""

    now: datetime
    machines: int
    devices: tuple[Device, ...]
    """The first few."""
    updates_open: int
    updates: tuple[TriageRow, ...]
    """The worst few."""
    campaigns: tuple[CampaignRow, ...]
    feeds: tuple[FeedRow, ...]
    disagreements: int = 0
    """Machines and updates of which agent and probe say the opposite, and nobody is believed (A18)."""
    made_up: bool = False
    """Nothing of it is real: the demonstration."""
    on_its_way_to: datetime | None = None
    """The demonstration has just begun and still lives up to here."""


def overview(database: Database, now: datetime, policy: Policy) -> Overview:
    """Gather the status page's numbers."""
    updates = triage(database)
    rows = campaign_rows(database, now, policy)
    with database.begin() as con:
        machines = devices.count(con)
        shown = devices.everything(con, limit=_SHOWN)
        states = feeds.states(con)
    return Overview(
        now=now,
        machines=machines,
        devices=tuple(shown),
        updates_open=len(updates),
        updates=tuple(updates[:_SHOWN]),
        campaigns=tuple(row for row in rows if row.phase not in {Phase.CLOSED, Phase.WITHDRAWN}),
        feeds=tuple(
            FeedRow(each.name, each.last_good_at, each.records, each.held or each.last_error)
            for each in states.values()
        ),
        disagreements=undecided(database, now, policy),
    )


def campaign_rows(database: Database, now: datetime, policy: Policy) -> list[CampaignRow]:
    """Say how every campaign stands, newest first."""
    with database.begin() as con:
        return [_row(con, campaign, now, policy) for campaign in campaigns.everything(con)]


def campaign_row(database: Database, name: str, now: datetime, policy: Policy) -> CampaignRow:
    """Say how one campaign stands.

    Raises:
        InputError: there is none of that name.
    """
    with database.begin() as con:
        campaign = campaigns.get(con, name)
        if campaign is None:
            raise InputError(f"There is no campaign “{name[:80]}”. List them: forestall campaign ls")
        return _row(con, campaign, now, policy)


def _row(con: Connection, campaign: Campaign, now: datetime, policy: Policy) -> CampaignRow:
    found = records.gather(con, campaign.id)
    fixed = sorted(record.fixed_at for record in found if record.fixed_at is not None)
    start = campaign.distributed_at or campaign.handed_over_at
    steps = [(max(at, start), len(found) - done) for done, at in enumerate(fixed, 1)]
    return CampaignRow(
        id=campaign.id,
        remediation=campaign.remediation,
        phase=campaign.phase,
        deadline_at=campaign.deadline_at,
        halted_because=campaign.halted_because,
        standing=standing(found, campaign, now, policy),
        held=len(intents.held(con, campaign.id)),
        open_over_time=((start, len(found)), *_thinned(steps)),
        test=standing_of(con, campaign, now, policy) if campaign.open else None,
    )


def _thinned(steps: list[tuple[datetime, int]], most: int = 400) -> list[tuple[datetime, int]]:
    """Keep enough points for a picture, and always the last."""
    stride = max(1, len(steps) // most)
    return [*steps[:-1:stride], *steps[-1:]]
