"""P6.4 to the minute: re-check and verdict fall within 15 minutes of the accepted warning, whatever the phases.

A small company of one machine: a pass a minute, a check that takes up to a minute, words at the door in between.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.made import (
    DAY,
    DEADLINE,
    ENFORCING,
    MINUTE,
    POLICY,
    START,
    TOLD,
    VOLUNTARY,
    case_at,
    seen,
    taken,
    vulnerable,
)
from forestall.domain.action import Action
from forestall.domain.campaign import Campaign, Step
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.plan import decide
from forestall.domain.policy import Policy, faults
from forestall.domain.record import Record, after_evidence, after_intent

WARNED_AT = DEADLINE + DAY
IMMINENT = taken(VOLUNTARY, Step.IMMINENT, START)
SECOND = timedelta(seconds=1)

phases = st.integers(0, 59).map(lambda seconds: seconds * SECOND)
"""How long after the warning the next pass runs."""

delays = st.integers(0, 60).map(lambda seconds: seconds * SECOND)
"""How long a check takes."""

moments = st.integers(1, 15 * 60).map(lambda seconds: WARNED_AT + seconds * SECOND)

policies = st.builds(
    lambda recheck, room: replace(
        POLICY, recheck_after=recheck * MINUTE, removal_after_warning=(recheck + room) * MINUTE
    ),
    st.integers(1, 30),
    st.integers(1, 30),
)


@dataclass
class Course:
    """What a warned machine goes through: passes, checks, words at the door."""

    phase: timedelta
    delay: timedelta
    answers: Status | None = Status.AFFECTED
    """What checks find; None: they get no answer."""
    lost: int = 0
    """So many checks get no answer at first."""
    words: list[Evidence] = field(default_factory=list)
    campaign: Campaign = ENFORCING
    policy: Policy = POLICY

    looked: list[datetime] = field(default_factory=list)
    removed_at: datetime | None = None

    def run(self, minutes: int = 60) -> "Course":
        record = vulnerable(TOLD, WARNED_AT - 6 * MINUTE)
        record = record._replace(warning_at=WARNED_AT - MINUTE, warned_at=WARNED_AT)
        pending = sorted(self.words, key=lambda word: word.observed_at)
        for count in range(minutes):
            now = WARNED_AT + self.phase + count * MINUTE
            while pending and pending[0].observed_at <= now:
                record = after_evidence(record, pending.pop(0))
            record = self._pass(record, now, pending)
            pending.sort(key=lambda word: word.observed_at)
            if self.removed_at:
                break
        return self

    def _pass(self, record: Record, now: datetime, pending: list[Evidence]) -> Record:
        rule = decide(case_at(record, self.campaign, now, self.policy))
        match rule.then:
            case Action.QUARANTINE:
                self.removed_at = now
            case Action.LOOK:
                self.looked.append(now)
                if self.answers is not None and len(self.looked) > self.lost:
                    pending.append(seen(self.answers, now + self.delay))
            case _:
                pass
        return after_intent(record, rule.then, now) if rule.then else record


def door(status: Status, at: datetime) -> Evidence:
    return seen(status, at, Witness.VPN)


@given(phases, delays, st.sampled_from([ENFORCING, IMMINENT]))
def test_a_machine_still_vulnerable_is_removed_within_fifteen_minutes(
    phase: timedelta, delay: timedelta, campaign: Campaign
):
    """P6.4, P8.3."""
    course = Course(phase, delay, campaign=campaign).run()
    assert course.removed_at is not None
    assert WARNED_AT + 10 * MINUTE <= course.looked[0] + delay <= course.removed_at <= WARNED_AT + 15 * MINUTE


@given(phases, delays)
def test_a_check_that_got_lost_still_leaves_time_for_another(phase: timedelta, delay: timedelta):
    """P6.4: the first check gets no answer; verdict and removal are on time all the same."""
    course = Course(phase, delay, lost=1).run()
    assert course.removed_at is not None
    assert course.removed_at <= WARNED_AT + 15 * MINUTE


@given(phases, delays, policies)
def test_any_policy_that_is_accepted_keeps_its_own_time(phase: timedelta, delay: timedelta, policy: Policy):
    """P6.4: `faults` leaves room for the check, so a company's own numbers are kept as well."""
    assume(not faults(policy))
    course = Course(phase, delay, policy=policy).run(minutes=90)
    assert course.removed_at is not None
    assert WARNED_AT + policy.recheck_after <= course.removed_at
    assert course.removed_at <= WARNED_AT + policy.removal_after_warning


@given(phases, delays, st.lists(moments, max_size=4))
def test_an_owners_own_check_never_brings_removal_forward(
    phase: timedelta, delay: timedelta, checks: list[datetime]
):
    """P6.4: pressing “check me now” while still vulnerable costs nothing before the re-check is due."""
    course = Course(phase, delay, words=[door(Status.AFFECTED, at) for at in checks]).run()
    assert course.removed_at is not None
    assert WARNED_AT + 10 * MINUTE <= course.removed_at <= WARNED_AT + 15 * MINUTE


@given(phases, delays, moments, st.sampled_from([Status.FIXED, Status.NOT_AFFECTED]))
def test_an_owners_own_clean_check_counts_at_once(
    phase: timedelta, delay: timedelta, at: datetime, status: Status
):
    """P6.4: fixed before the verdict, seen at the door: the next pass already spares the machine."""
    without = Course(phase, delay).run()
    assert without.removed_at is not None
    assume(at <= without.removed_at)
    found = Course(phase, delay, answers=status, words=[door(status, at)]).run()
    assert found.removed_at is None


@given(phases, delays)
def test_a_machine_found_fixed_by_the_re_check_is_spared(phase: timedelta, delay: timedelta):
    """P6.4, P6.5."""
    assert Course(phase, delay, answers=Status.FIXED).run().removed_at is None


@given(phases)
def test_no_answer_removes_nobody(phase: timedelta):
    """A2: an unanswered check is no proof; the sight from before the warning is none either."""
    course = Course(phase, timedelta(), answers=None).run(minutes=240)
    assert course.removed_at is None
    assert len(course.looked) > 20


@given(phases, delays)
def test_a_probe_that_cannot_tell_removes_nobody(phase: timedelta, delay: timedelta):
    """A2."""
    assert Course(phase, delay, answers=Status.UNKNOWN).run(minutes=240).removed_at is None


@given(phases, delays)
def test_nobody_is_checked_before_the_re_check_is_due(phase: timedelta, delay: timedelta):
    """P6.4: who was seen vulnerable minutes ago gets the time to act."""
    assert min(Course(phase, delay).run().looked) >= WARNED_AT + 10 * MINUTE
