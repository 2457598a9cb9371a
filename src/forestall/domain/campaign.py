"""A campaign: one remediation driven to everybody by a deadline (P3, P7), and the table of its phases."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.remediation import RemediationId
from forestall.domain.ring import TESTERS, Ring, beyond


class Kind(StrEnum):
    """What a campaign drives."""

    PATCH = "patch"
    SERVICE_PACK = "service_pack"
    UNDO = "undo"
    """Takes a withdrawn update back: it is about the same update, and fixed is whoever has it no more (A7)."""


class Phase(StrEnum):
    """Where a campaign is in its life."""

    TESTING = "testing"
    VOLUNTARY = "voluntary"
    ENFORCING = "enforcing"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What moves a campaign on."""

    DISTRIBUTE = "distribute"
    DEADLINE = "deadline"
    IMMINENT = "imminent"
    CLOSE = "close"
    ROLL_UP = "roll_up"
    WITHDRAW = "withdraw"


TRANSITIONS: dict[tuple[Phase, Step], tuple[Phase, str]] = {
    (Phase.TESTING, Step.DISTRIBUTE): (Phase.VOLUNTARY, "P4.4"),
    (Phase.TESTING, Step.WITHDRAW): (Phase.WITHDRAWN, "A7"),
    (Phase.TESTING, Step.CLOSE): (Phase.CLOSED, "P7.1"),
    (Phase.TESTING, Step.ROLL_UP): (Phase.CLOSED, "P7.2"),
    (Phase.VOLUNTARY, Step.DEADLINE): (Phase.ENFORCING, "P5.4"),
    (Phase.VOLUNTARY, Step.IMMINENT): (Phase.ENFORCING, "P8.1"),
    (Phase.VOLUNTARY, Step.CLOSE): (Phase.CLOSED, "P7.1"),
    (Phase.VOLUNTARY, Step.ROLL_UP): (Phase.CLOSED, "P7.2"),
    (Phase.VOLUNTARY, Step.WITHDRAW): (Phase.WITHDRAWN, "A7"),
    (Phase.ENFORCING, Step.IMMINENT): (Phase.ENFORCING, "P8.1"),
    (Phase.ENFORCING, Step.CLOSE): (Phase.CLOSED, "P7.1"),
    (Phase.ENFORCING, Step.ROLL_UP): (Phase.CLOSED, "P7.2"),
    (Phase.ENFORCING, Step.WITHDRAW): (Phase.WITHDRAWN, "A7"),
}
"""What may follow what, and the paragraph that says so. A pair that is not here is refused."""


def next_phase(phase: Phase, step: Step) -> Phase | None:
    """Look up where a step leads; None where the process has no such step."""
    found = TRANSITIONS.get((phase, step))
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Campaign:
    """One remediation, its guideline (P3.1, P3.2) and its dates."""

    id: CampaignId
    revision: int
    remediation: RemediationId
    kind: Kind
    level: Level
    phase: Phase
    voluntary_period: timedelta
    goal: float
    published_at: datetime
    """Vulnerability and patch are public: the clock starts (P1.3)."""
    rated_at: datetime
    handed_over_at: datetime
    """Security has set the guideline; the 72 hours run (P3.4, P4.4)."""
    distributed_at: datetime | None = None
    deadline_at: datetime | None = None
    """The deadline in force; an imminent threat moves it (P8.1)."""
    imminent_at: datetime | None = None
    mail_waived: bool = False
    """Two people decided that removals need no accepted warning (A14)."""
    halted_at: datetime | None = None
    halted_because: str = ""
    resumed_at: datetime | None = None
    """It last went on after a halt: what had failed by then halts it no more (A7)."""
    ended_at: datetime | None = None
    rolled_up_by: CampaignId | None = None
    """The service pack's campaign that contains this one (P7.2)."""
    ring: Ring | None = None
    """The outermost ring that has it; None where people test it by hand (P4.1)."""
    ring_opened_at: datetime | None = None
    tested_at: datetime | None = None
    """The testers' rings have passed it (P4.4)."""

    @property
    def open(self) -> bool:
        """Still asks something of machines."""
        return self.phase not in {Phase.CLOSED, Phase.WITHDRAWN}

    @property
    def pushed(self) -> bool:
        """May be pushed and get a deadline: critical, a service pack, a way back; nothing milder (P2.5, P3.3)."""
        return self.level is Level.CRITICAL or self.kind is not Kind.PATCH


def deadline_of(distributed_at: datetime, voluntary_period: timedelta) -> datetime:
    """Count the voluntary period from distribution: nobody can choose before the patch is there (P3.1)."""
    return distributed_at + voluntary_period


def take(campaign: Campaign, step: Step, now: datetime) -> Campaign | None:
    """Move a campaign one step on, with the dates that go with it; None where the process has no such step.

    An imminent threat voids the announced deadline: the new one is now (P8.1); no threat hastens a way back. What is
    not critical is not pushed.
    """
    phase = next_phase(campaign.phase, step)
    if phase is None or (step is Step.DISTRIBUTE and not campaign.pushed):
        return None
    if step is Step.IMMINENT and campaign.kind is Kind.UNDO:
        return None
    moved = replace(campaign, phase=phase)
    match step:
        case Step.DISTRIBUTE:
            deadline_at = deadline_of(now, campaign.voluntary_period)
            moved = _opened(moved, Ring.BROAD, now) if campaign.ring else moved
            return replace(moved, distributed_at=now, deadline_at=deadline_at)
        case Step.IMMINENT:
            deadline_at = min(now, campaign.deadline_at or now)
            return replace(moved, imminent_at=campaign.imminent_at or now, deadline_at=deadline_at)
        case Step.CLOSE | Step.ROLL_UP | Step.WITHDRAW:
            return replace(moved, ended_at=now)
        case Step.DEADLINE:
            return moved


def next_ring(campaign: Campaign) -> Ring | None:
    """Say which ring opens next; None where none does."""
    return beyond(campaign.ring) if campaign.ring and campaign.open else None


def opened(campaign: Campaign, ring: Ring, now: datetime) -> Campaign | None:
    """Open the next ring; None where it is not the next. The broad one is opened by distributing (P4.4)."""
    if ring is not next_ring(campaign):
        return None
    return take(campaign, Step.DISTRIBUTE, now) if ring is Ring.BROAD else _opened(campaign, ring, now)


def _opened(campaign: Campaign, ring: Ring, now: datetime) -> Campaign:
    tested = campaign.ring is TESTERS[-1]
    return replace(
        campaign,
        ring=ring,
        ring_opened_at=now,
        tested_at=now if tested and ring is Ring.EARLY else campaign.tested_at,
    )


def halted(campaign: Campaign, why: str, now: datetime) -> Campaign:
    """Stop a campaign; halted again, it stays halted since the first time (A7)."""
    return replace(campaign, halted_at=campaign.halted_at or now, halted_because=why)


def resumed(campaign: Campaign, now: datetime) -> Campaign:
    """Let a halted campaign go on."""
    return replace(campaign, halted_at=None, halted_because="", resumed_at=now)


def forced_early(campaign: Campaign, now: datetime) -> Campaign | None:
    """End the voluntary period before its announced end (A9); None where it does not run."""
    if campaign.phase is not Phase.VOLUNTARY or campaign.deadline_at is None or campaign.deadline_at <= now:
        return None
    return take(replace(campaign, deadline_at=now), Step.DEADLINE, now)


def due(campaign: Campaign, now: datetime) -> Step | None:
    """Find the step that time alone takes."""
    passed = campaign.deadline_at is not None and campaign.deadline_at <= now
    return Step.DEADLINE if passed and campaign.phase is Phase.VOLUNTARY else None
