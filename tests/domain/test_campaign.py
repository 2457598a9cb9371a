"""Steps of a campaign (P3, P4, P7, P8, A7): each either moves as the process says or is refused."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import DAY, DEADLINE, ENFORCING, MINUTE, START, TESTING, VOLUNTARY, taken
from forestall.domain.campaign import TRANSITIONS, Campaign, Kind, Phase, Step, due, next_phase, take
from forestall.domain.level import Level

T, V, E, C, W = Phase.TESTING, Phase.VOLUNTARY, Phase.ENFORCING, Phase.CLOSED, Phase.WITHDRAWN

PROCESS: dict[Phase, dict[Step, Phase | None]] = {
    T: {
        Step.DISTRIBUTE: V, Step.CLOSE: C, Step.ROLL_UP: C, Step.WITHDRAW: W,
        Step.DEADLINE: None, Step.IMMINENT: None,  # nobody can install yet: distributed first, then declared
    },
    V: {
        Step.DEADLINE: E, Step.IMMINENT: E, Step.CLOSE: C, Step.ROLL_UP: C, Step.WITHDRAW: W,
        Step.DISTRIBUTE: None,  # once
    },
    E: {
        Step.IMMINENT: E, Step.CLOSE: C, Step.ROLL_UP: C, Step.WITHDRAW: W,
        Step.DISTRIBUTE: None, Step.DEADLINE: None,
    },
    C: dict.fromkeys(Step),
    W: dict.fromkeys(Step),
}  # fmt: skip


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("phase", list(Phase))
def test_a_step_moves_as_the_process_says_or_is_refused(phase: Phase, step: Step):
    """P4.4, P5.4, P7.1, P7.2, P8.1, A7."""
    leads_to = PROCESS[phase][step]
    moved = take(replace(VOLUNTARY, phase=phase), step, DEADLINE)
    assert next_phase(phase, step) is leads_to
    assert (moved.phase if moved else None) is leads_to


def test_every_step_of_the_table_is_one_of_the_process():
    expected = {(phase, step) for phase, steps in PROCESS.items() for step, to in steps.items() if to}
    assert set(TRANSITIONS) == expected


def test_distribution_starts_the_voluntary_period():
    """P3.1, P4.4: nobody can choose before the patch is there."""
    assert (VOLUNTARY.distributed_at, VOLUNTARY.deadline_at) == (START, START + timedelta(days=8))


@pytest.mark.parametrize(
    ("level", "kind", "pushed"),
    [
        (Level.CRITICAL, Kind.PATCH, True),
        (Level.WARNING, Kind.PATCH, False),
        (Level.CAUTION, Kind.PATCH, False),
        (Level.WARNING, Kind.SERVICE_PACK, True),
        (Level.CAUTION, Kind.SERVICE_PACK, True),
    ],
)
def test_only_a_critical_update_or_a_service_pack_is_pushed(level: Level, kind: Kind, pushed: bool):
    """P2.5, P3.3: warnings and cautions are left to the users and get no deadline."""
    moved = take(replace(TESTING, level=level, kind=kind), Step.DISTRIBUTE, START)
    assert (moved is not None) is pushed


@pytest.mark.parametrize(
    ("campaign", "declared_at", "deadline_at"),
    [
        pytest.param(VOLUNTARY, START + DAY, START + DAY, id="in the voluntary period: now"),
        pytest.param(VOLUNTARY, START, START, id="at the very start: now"),
        pytest.param(ENFORCING, DEADLINE + DAY, DEADLINE, id="after the deadline: it does not move on"),
    ],
)
def test_an_imminent_threat_voids_the_announced_deadline(
    campaign: Campaign, declared_at: datetime, deadline_at: datetime
):
    """P8.1."""
    moved = taken(campaign, Step.IMMINENT, declared_at)
    assert (moved.imminent_at, moved.deadline_at, moved.phase) == (declared_at, deadline_at, E)


def test_declared_twice_is_declared_once():
    """P8.1."""
    once = taken(VOLUNTARY, Step.IMMINENT, START + DAY)
    assert taken(once, Step.IMMINENT, START + 2 * DAY) == once


@given(st.lists(st.tuples(st.sampled_from(Step), st.integers(0, 20_000)), max_size=8))
def test_a_deadline_once_set_is_never_put_off(course: list[tuple[Step, int]]):
    """P3.1, P8.1: whatever steps are taken or refused; and what has ended stays as it is."""
    campaign, now = TESTING, START
    for step, minutes in course:
        now += minutes * MINUTE
        moved = take(campaign, step, now)
        if moved is None:
            continue
        assert campaign.open
        if campaign.deadline_at is not None:
            assert moved.deadline_at is not None
            assert moved.deadline_at <= campaign.deadline_at
        assert (moved.deadline_at is None) == (moved.distributed_at is None)
        assert (moved.ended_at is None) == moved.open
        campaign = moved


@pytest.mark.parametrize(
    ("campaign", "now", "step"),
    [
        pytest.param(TESTING, DEADLINE, None, id="a patch in test has no deadline"),
        pytest.param(VOLUNTARY, DEADLINE - MINUTE, None, id="a minute before the deadline"),
        pytest.param(VOLUNTARY, DEADLINE, Step.DEADLINE, id="at the deadline"),
        pytest.param(ENFORCING, DEADLINE + DAY, None, id="the deadline has been taken"),
        pytest.param(taken(VOLUNTARY, Step.CLOSE, START), DEADLINE, None, id="closed before its deadline"),
    ],
)
def test_what_time_alone_does(campaign: Campaign, now: datetime, step: Step | None):
    """P5.4."""
    assert due(campaign, now) is step
