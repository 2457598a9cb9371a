"""How a campaign stands and how it went (P10, A3): five numbers that never hide each other, and the way to 99 %."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from forestall.domain.campaign import Campaign
from forestall.domain.case import moment_of, verdict_of
from forestall.domain.evidence import CLEAN, Status
from forestall.domain.policy import DAY, Policy
from forestall.domain.record import Record


class How(StrEnum):
    """What brought a machine to be fixed (P10.1)."""

    VOLUNTARY = "voluntary"
    """Its person did it before the deadline."""
    LATE = "late"
    """Done after the deadline, before it had to be forced or removed."""
    FORCED = "forced"
    AFTER_REMOVAL = "after_removal"


def how_fixed(record: Record, campaign: Campaign) -> How | None:
    """Say how a machine came to be fixed; None while it is not, or never had to be."""
    if record.fixed_at is None or record.agent_status is Status.NOT_AFFECTED:
        return None
    if record.quarantined_at is not None or record.released_at is not None:
        return How.AFTER_REMOVAL
    if record.forced_at is not None and record.forced_at <= record.fixed_at:
        return How.FORCED
    if campaign.deadline_at is None or record.fixed_at < campaign.deadline_at:
        return How.VOLUNTARY
    return How.LATE


@dataclass(frozen=True, slots=True)
class Standing:
    """The five numbers of A3 over the machines a campaign concerns, and how the fixed ones got there."""

    fixed: int = 0
    pending_restart: int = 0
    affected: int = 0
    unknown: int = 0
    exempt: int = 0
    not_affected: int = 0
    """Beside the five: nothing to do there."""
    voluntary: int = 0
    late: int = 0
    forced: int = 0
    after_removal: int = 0
    quarantined: int = 0
    """Off the network now."""

    @property
    def concerned(self) -> int:
        """Count the machines the percentage speaks of: all that are or were affected, or may be."""
        return self.fixed + self.pending_restart + self.affected + self.unknown

    @property
    def compliance(self) -> tuple[float, float]:
        """Give the interval [surely fixed, possibly fixed] as shares; exempt machines stand beside it (A1, A3)."""
        if not self.concerned:
            return 1.0, 1.0
        return self.fixed / self.concerned, (self.fixed + self.unknown) / self.concerned


def standing(records: Iterable[Record], campaign: Campaign, now: datetime, policy: Policy) -> Standing:
    """Count the machines of a campaign."""
    count: Counter[str] = Counter()
    moment = moment_of(campaign, now, policy)
    for record in records:
        status = verdict_of(record, moment).status
        if record.exempt_until is not None and now < record.exempt_until and status not in CLEAN:
            count["exempt"] += 1
        else:
            count[status] += 1
            if how := how_fixed(record, campaign) if status is Status.FIXED else None:
                count[how] += 1
        count["quarantined"] += record.quarantined_at is not None
    return Standing(**count)


@dataclass(frozen=True, slots=True)
class Times:
    """Hours of the phases against P4.4, P10.1 and P10.2; None where a phase has not ended."""

    to_rate: timedelta
    """From publication to the rating (P1.3)."""
    to_distribute: timedelta | None
    """From hand-over to distribution, the test included (P4.4)."""
    to_goal: timedelta | None
    """From distribution to the goal, judged by the lower end of the interval."""


def times(campaign: Campaign, curve: Iterable[tuple[datetime, Standing]]) -> Times:
    """Measure a campaign from its dates and its curve, oldest point first."""
    distributed_at = campaign.distributed_at
    reached_at = next((at for at, point in curve if point.compliance[0] >= campaign.goal), None)
    return Times(
        to_rate=campaign.rated_at - campaign.published_at,
        to_distribute=distributed_at - campaign.handed_over_at if distributed_at else None,
        to_goal=max(reached_at - distributed_at, timedelta()) if distributed_at and reached_at else None,
    )


def days(period: timedelta | None) -> float | None:
    """Write a period in days, one decimal; None stays None."""
    return None if period is None else round(period / DAY, 1)
