"""“Check me now” (A13): the next pass looks, once for each wish, and the regular checks go on."""

from datetime import timedelta

import pytest

from domain.made import DEADLINE, ENFORCING, HOUR, MINUTE, TOLD, case_at, vulnerable
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


def test_a_warned_machine_on_the_network_may_be_checked_early_once_for_each_wish():
    """P6.4, A13: the mail's page has the button, too; it does not bring the removal forward."""
    warned = vulnerable(TOLD, NOW - HOUR)._replace(
        warning_at=NOW - 2 * MINUTE, warned_at=NOW - 2 * MINUTE, looked_at=NOW - 30 * MINUTE
    )
    assert rule(warned) == "recheck-later"
    asked = after_asking(warned, NOW)
    assert rule(asked) == "wished-warned"
    looked = after_intent(asked, Action.LOOK, NOW)
    assert rule(looked) == "recheck-later"
    assert rule(vulnerable(looked, NOW + MINUTE), minutes=2) == "recheck-later"


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
