"""When the next ring gets a patch: what the rings have answered becomes facts, a table opens, holds or halts (P4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from forestall.domain.brakes import halt_reason
from forestall.domain.campaign import Campaign, next_ring
from forestall.domain.policy import Policy
from forestall.domain.ring import RINGS, Ring
from forestall.domain.rule import Condition, Rule, conditions
from forestall.domain.trial import Tally, Verdict, together


class Gate(StrEnum):
    """What the door to the next ring does."""

    ADVANCE = "advance"
    HOLD = "hold"
    HALT = "halt"


class RingCase(NamedTuple):
    """What is true of a campaign's outermost open ring, and of all that have it; the table combines nothing else."""

    halted: bool = False
    refuted: bool = False
    """A machine has it installed and is still affected."""
    breaking: bool = False
    """More machines than a campaign may harm."""
    silencing: bool = False
    suspect: bool = False
    """A larger share than a campaign may harm, of few machines."""
    quiet: bool = False
    """The same of machines that should have been heard again."""
    overdue: bool = False
    nobody_waits: bool = False
    """The next ring is the last, and no machine is in it."""
    no_team: bool = False
    """It is the team's ring, and no machine of it is concerned."""
    baked: bool = False
    answered: bool = False
    proven: bool = False
    """Some machine was seen affected before and fixed after by others than its agent."""


def _when(**facts: bool) -> dict[str, Condition]:
    return conditions(RingCase._fields, facts)


# fmt: off
GATES: tuple[Rule[Gate], ...] = (
    Rule("ring-halted",     "A7",   _when(halted=True),       Gate.HOLD,    "the campaign is halted: no further ring gets it"),
    Rule("ring-refuted",    "P4.3", _when(refuted=True),      Gate.HALT,    "installed and still affected: the patch does not close the hole"),
    Rule("ring-breaks",     "P4.2", _when(breaking=True),     Gate.HALT,    "it fails or breaks something on too many machines"),
    Rule("ring-silences",   "P4.2", _when(silencing=True),    Gate.HALT,    "too many machines fell silent after it"),
    Rule("ring-overdue",    "P5.4", _when(overdue=True),      Gate.ADVANCE, "the deadline has passed: from here the waves spread it"),
    Rule("ring-suspect",    "P4.2", _when(suspect=True),      Gate.HOLD,    "it failed or broke something: a person looks"),
    Rule("ring-quiet",      "P4.2", _when(quiet=True),        Gate.HOLD,    "not all are heard again: silence counts against the patch"),
    Rule("ring-nobody",     "P4.1", _when(nobody_waits=True), Gate.ADVANCE, "no machine waits for the last ring"),
    Rule("ring-no-team",    "P4.1", _when(no_team=True),      Gate.ADVANCE, "no machine of the team is concerned: volunteers begin"),
    Rule("ring-baking",     "P4.2", _when(baked=False),       Gate.HOLD,    "it has not been there for long enough"),
    Rule("ring-unanswered", "P4.2", _when(answered=False),    Gate.HOLD,    "too few machines have answered that they are well"),
    Rule("ring-unproven",   "P4.3", _when(proven=False),      Gate.HOLD,    "nobody but the agents has seen it work yet"),
    Rule("ring-passed",     "P4.4", _when(),                  Gate.ADVANCE, "enough machines are well: the next ring gets it"),
)
# fmt: on


def gate(case: RingCase) -> Rule[Gate]:
    """Find the first row that applies."""
    return next(row for row in GATES if row.applies(case))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is decided about a campaign's next ring, and on what."""

    rule: Rule[Gate]
    ring: Ring
    """The outermost that has it."""
    next: Ring
    why: str
    """For people; says the numbers where there are any."""
    needed: int
    """Clean answers that its ring gives before the next gets it."""
    baked_at: datetime


def judge(
    campaign: Campaign, tallies: Mapping[Ring, Tally], waiting: int, now: datetime, policy: Policy
) -> Judgement | None:
    """Decide whether the next ring gets a patch; None where rings have no part in it, or none is left.

    `tallies` are those of the rings that have it, `waiting` counts the machines of the rings that do not.
    """
    ring, coming = campaign.ring, next_ring(campaign)
    if ring is None or coming is None or campaign.ring_opened_at is None:
        return None
    total, own = together(tallies.values()), tallies.get(ring, Tally())
    needed = min(policy.ring_answers, (own.machines + 1) // 2)
    bake = policy.ring_bakes[RINGS.index(ring)] if own.machines else timedelta()
    baked_at = max(campaign.ring_opened_at, campaign.resumed_at or campaign.ring_opened_at) + bake
    harm = halt_reason(total.tried, total.harmed, 0, policy)
    silence = halt_reason(total.tried, 0, total.verdicts[Verdict.SILENT], policy)
    unheard = total.verdicts[Verdict.SILENT] + total.verdicts[Verdict.QUIET]
    rule = gate(
        RingCase(
            halted=campaign.halted_at is not None,
            refuted=total.verdicts[Verdict.REFUTED] > 0,
            breaking=bool(harm),
            silencing=bool(silence),
            suspect=total.harmed > total.tried * policy.halt_failed_share,
            quiet=unheard > total.tried * policy.halt_silent_share,
            overdue=campaign.deadline_at is not None and campaign.deadline_at <= now,
            nobody_waits=coming is RINGS[-1] and not waiting,
            no_team=ring is RINGS[0] and not own.machines,
            baked=baked_at <= now,
            answered=own.clean >= needed,
            proven=total.proven > 0,
        )
    )
    return Judgement(rule, ring, coming, _why(rule, harm or silence, total), needed, baked_at)


def _why(rule: Rule[Gate], limit: str, total: Tally) -> str:
    if rule.then is not Gate.HALT:
        return rule.meaning
    count = total.verdicts[Verdict.REFUTED]
    return f"{rule.meaning}: {limit or f'{count} of {total.tried} machine(s)'}"


class Haste(StrEnum):
    """How the time from the hand-over compares with what the process asks (P4.4)."""

    BEST = "best"
    GOOD = "good"
    SLOW = "slow"
    """Beyond the goal, within the limit."""
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Hours:
    """The time from the hand-over to the distribution (P4.4, P10.2)."""

    handed_over_at: datetime
    due_at: datetime
    """At most by then everybody is offered it."""
    tested_at: datetime | None
    distributed_at: datetime | None
    ring: Ring | None
    taken: timedelta
    """Until the distribution, or so far."""
    haste: Haste
    late: timedelta
    """Beyond the limit; none before."""


def hours_of(campaign: Campaign, now: datetime, policy: Policy) -> Hours:
    """Measure a campaign against the hours of P4.4; what ended untested runs no further."""
    until = campaign.distributed_at or campaign.ended_at or now
    taken = max(until - campaign.handed_over_at, timedelta())
    limits = (*policy.distribute_goal, policy.distribute_within)
    haste = next((word for word, most in zip(Haste, limits, strict=False) if taken <= most), Haste.LATE)
    return Hours(
        handed_over_at=campaign.handed_over_at,
        due_at=campaign.handed_over_at + policy.distribute_within,
        tested_at=campaign.tested_at,
        distributed_at=campaign.distributed_at,
        ring=campaign.ring,
        taken=taken,
        haste=haste,
        late=max(taken - policy.distribute_within, timedelta()),
    )
