"""Two people (A9): when an approval does not count, and what it says then."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.made import ENFORCING, HOUR, POLICY, START
from forestall.domain.approval import Matter, Request, refusal
from forestall.domain.brakes import set_hash
from forestall.domain.device import DeviceId

MACHINES = set_hash([DeviceId("d1"), DeviceId("d2")])
ASKED = Request(Matter.RAISE_BRAKE, ENFORCING.id, "aiko", START, START + HOUR, MACHINES, 2)
ALONE = replace(POLICY, second_person=False)


@pytest.mark.parametrize("matter", list(Matter))
def test_a_second_person_approves_what_both_have_seen(matter: Matter):
    assert refusal(replace(ASKED, matter=matter), "ben", MACHINES, START, POLICY) == ""


@pytest.mark.parametrize(
    ("approver", "machines", "after", "why"),
    [
        pytest.param("", MACHINES, timedelta(), "nobody approved", id="nobody"),
        pytest.param("aiko", MACHINES, timedelta(), "a second person must (A9)", id="who asked"),
        pytest.param("AIKO", MACHINES, timedelta(), "a second person must (A9)", id="who asked, in capitals"),
        pytest.param("ben", MACHINES, HOUR, "ran out at 2026-03-02 10:00 UTC; ask again", id="too late"),
        pytest.param("ben", MACHINES, -HOUR, "lies in the future", id="before it was asked"),
        pytest.param(
            "ben", set_hash([DeviceId("d1")]), timedelta(), "has changed since", id="a machine less"
        ),
        pytest.param("ben", "", timedelta(), "has changed since", id="nothing was previewed"),
    ],
)
def test_an_approval_does_not_count_by(approver: str, machines: str, after: timedelta, why: str):
    """A8, A9."""
    assert why in refusal(ASKED, approver, machines, START + after, POLICY)


def test_a_small_team_may_waive_the_second_person_and_nothing_else():
    """A9."""
    assert refusal(ASKED, "aiko", MACHINES, START, ALONE) == ""
    assert refusal(ASKED, "", MACHINES, START, ALONE) != ""
    assert refusal(ASKED, "aiko", MACHINES, START + HOUR, ALONE) != ""
    assert refusal(ASKED, "aiko", "other", START, ALONE) != ""
