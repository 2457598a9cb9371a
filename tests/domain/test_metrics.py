"""How a campaign stands (A3, P10): five numbers that never hide each other, an interval, and the way to 99 %."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import (
    DAY,
    DEADLINE,
    ENFORCING,
    HOUR,
    POLICY,
    START,
    TESTING,
    TOLD,
    VOLUNTARY,
    campaigns,
    instants,
    records,
)
from forestall.domain.campaign import Campaign
from forestall.domain.evidence import Status
from forestall.domain.metrics import How, Standing, days, how_fixed, standing, times
from forestall.domain.record import Record

NOW = DEADLINE + DAY
FIXED = TOLD._replace(probe_status=Status.FIXED, probe_at=NOW, fixed_at=NOW)
OPEN = TOLD._replace(probe_status=Status.AFFECTED, probe_at=NOW)
PENDING = TOLD._replace(agent_status=Status.PENDING_RESTART, agent_at=NOW)
NOT_AFFECTED = TOLD._replace(probe_status=Status.NOT_AFFECTED, probe_at=NOW)
STALE = FIXED._replace(probe_at=NOW - 2 * DAY)
EXEMPT: dict[str, Any] = {"exempt_until": NOW + DAY}


@given(st.lists(records, max_size=12), campaigns(), instants)
def test_every_machine_is_counted_exactly_once(fleet: list[Record], campaign: Campaign, now: datetime):
    """A3."""
    found = standing(fleet, campaign, now, POLICY)
    assert len(fleet) == (
        found.fixed
        + found.pending_restart
        + found.affected
        + found.unknown
        + found.exempt
        + found.not_affected
    )
    assert found.voluntary + found.late + found.forced + found.after_removal <= found.fixed
    assert found.quarantined == sum(record.quarantined_at is not None for record in fleet)


@given(st.lists(records, max_size=12), campaigns(), instants)
def test_compliance_is_an_interval(fleet: list[Record], campaign: Campaign, now: datetime):
    """A3: surely fixed is never more than possibly fixed; both are shares."""
    low, high = standing(fleet, campaign, now, POLICY).compliance
    assert 0 <= low <= high <= 1


def test_the_five_numbers():
    """A1, A2, A3, A6: exempt stands beside the percentage; stale evidence and a pending restart are not fixed."""
    fleet = [
        FIXED,
        FIXED,
        OPEN,
        PENDING,
        STALE,
        NOT_AFFECTED,
        OPEN._replace(**EXEMPT),
        FIXED._replace(**EXEMPT),
    ]
    found = standing(fleet, ENFORCING, NOW, POLICY)
    assert (found.fixed, found.pending_restart, found.affected, found.unknown, found.exempt) == (
        3,
        1,
        1,
        1,
        1,
    )
    assert found.not_affected == 1
    assert found.compliance == (3 / 6, 4 / 6)


def test_an_exemption_never_raises_the_percentage_of_a_fixed_fleet():
    """A1: exempting the vulnerable leaves the fixed ones as they were counted."""
    plain = standing([FIXED, OPEN], ENFORCING, NOW, POLICY)
    exempted = standing([FIXED, OPEN._replace(**EXEMPT)], ENFORCING, NOW, POLICY)
    assert (plain.fixed, exempted.fixed, exempted.exempt) == (1, 1, 1)


def test_a_fleet_of_nobody_is_compliant():
    assert Standing().compliance == (1.0, 1.0)
    assert Standing(exempt=5, not_affected=9).compliance == (1.0, 1.0)


BEFORE, AFTER = DEADLINE - DAY, DEADLINE + HOUR


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        pytest.param({"fixed_at": BEFORE}, How.VOLUNTARY, id="before the deadline"),
        pytest.param({"fixed_at": DEADLINE}, How.LATE, id="at the deadline"),
        pytest.param({"fixed_at": AFTER}, How.LATE, id="by itself after the deadline"),
        pytest.param({"fixed_at": AFTER, "forced_at": DEADLINE}, How.FORCED, id="after it was forced"),
        pytest.param({"fixed_at": AFTER, "forced_at": AFTER + HOUR}, How.LATE, id="before it was forced"),
        pytest.param(
            {"fixed_at": AFTER, "quarantined_at": DEADLINE}, How.AFTER_REMOVAL, id="off the network"
        ),
        pytest.param({"fixed_at": AFTER, "released_at": AFTER}, How.AFTER_REMOVAL, id="let back"),
        pytest.param({"fixed_at": None}, None, id="not yet"),
        pytest.param({"fixed_at": BEFORE, "agent_status": Status.NOT_AFFECTED}, None, id="never had to be"),
    ],
)
def test_how_a_machine_came_to_be_fixed(changes: dict[str, Any], how: How | None):
    """P10.1: voluntarily, by force, or removed."""
    assert how_fixed(FIXED._replace(**changes), ENFORCING) is how


CURVE = [
    (START, Standing(affected=100)),
    (START + 3 * DAY, Standing(fixed=98, affected=2)),
    (START + 4 * DAY, Standing(fixed=98, unknown=2)),
    (START + 5 * DAY, Standing(fixed=99, affected=1)),
    (START + 6 * DAY, Standing(fixed=100)),
]


def test_the_goal_is_reached_when_the_lower_end_is():
    """A3, P3.2, P10.1: what is unknown does not help."""
    assert times(VOLUNTARY, CURVE).to_goal == 5 * DAY


def test_the_hours_of_the_phases():
    """P4.4, P10.1, P10.2: to rate from publication (P1.3), to distribute from hand-over (P3.4)."""
    measured = times(VOLUNTARY, CURVE)
    assert (measured.to_rate, measured.to_distribute) == (4 * HOUR, 30 * HOUR)


def test_a_phase_that_has_not_ended_has_no_time():
    measured = times(TESTING, [])
    assert (measured.to_distribute, measured.to_goal) == (None, None)
    assert times(VOLUNTARY, CURVE[:3]).to_goal is None


def test_a_goal_reached_before_distribution_took_no_time():
    assert times(VOLUNTARY, [(START - HOUR, Standing(fixed=5))]).to_goal == timedelta()


@pytest.mark.parametrize(
    ("period", "written"), [(None, None), (8 * DAY, 8.0), (36 * HOUR, 1.5), (50 * HOUR, 2.1)]
)
def test_a_period_in_days(period: timedelta | None, written: float | None):
    assert days(period) == written
