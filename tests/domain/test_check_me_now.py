"""“Check me now” (A13): the next pass looks, once for each wish, and the regular checks go on."""

from datetime import timedelta

import pytest

from domain.made import DEADLINE, ENFORCING, MINUTE, TOLD, case_at
from forestall.domain.action import Action
from forestall.domain.intent import round_of
from forestall.domain.plan import decide
from forestall.domain.policy import Policy
from forestall.domain.record import Record, after_asking, after_intent

NOW = DEADLINE + 60 * MINUTE
HELD = TOLD._replace(quarantined_at=NOW - 30 * MINUTE, looked_at=NOW - MINUTE)


def rule(record: Record, minutes: float = 0) -> str:
    return decide(case_at(record, ENFORCING, NOW + minutes * MINUTE)).name


def test_a_wish_has_the_machine_looked_at_at_once():
    assert rule(HELD) == "held"
    asked = after_asking(HELD, NOW)
    assert rule(asked) == "held-look"
    assert rule(after_intent(asked, Action.LOOK, NOW)) == "held"


def test_a_second_wish_within_a_minute_is_the_same():
    asked = after_asking(HELD, NOW)
    assert after_asking(asked, NOW + 0.9 * MINUTE) == asked
    assert after_asking(asked, NOW + MINUTE) != asked


def test_only_removed_machines_have_a_button():
    assert after_asking(TOLD, NOW) == TOLD


@pytest.mark.parametrize("seconds", range(0, 60, 7))
def test_a_wish_takes_no_later_check_its_occasion(seconds: int):
    """An occasion that was used is ordered never again: the machine would stay off for good."""
    looked = HELD._replace(looked_at=NOW + timedelta(seconds=1))
    asked = after_asking(looked, NOW + timedelta(seconds=seconds + 2))
    assert decide(case_at(asked, ENFORCING, NOW + MINUTE)).then is Action.LOOK
    again = after_intent(asked, Action.LOOK, NOW + timedelta(seconds=seconds + 3))
    later = NOW + 2 * MINUTE + Policy().held_look_every
    assert decide(case_at(again, ENFORCING, later)).then is Action.LOOK
    assert round_of(Action.LOOK, again) != round_of(Action.LOOK, asked)
