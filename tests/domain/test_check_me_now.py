"""“Check me now” (A13): the next pass looks, once for each wish, and the regular checks go on."""

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


def test_every_look_that_follows_another_is_a_new_occasion():
    """An occasion that was used before would be ordered never again, and the machine stay off for good."""
    record, rounds, at = HELD, [], NOW
    for step in range(40):
        if step % 3 == 0:
            record = after_asking(record, at)
        if decide(case_at(record, ENFORCING, at)).then is Action.LOOK:
            rounds.append(round_of(Action.LOOK, record))
            record = after_intent(record, Action.LOOK, at)
        at += 0.5 * MINUTE
    assert len(rounds) == len(set(rounds)) > 5
    later = at + Policy().held_look_every
    assert decide(case_at(record, ENFORCING, later)).then is Action.LOOK
    assert round_of(Action.LOOK, record) not in rounds
