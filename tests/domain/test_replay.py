"""A record told again from the ledger (A12): what was lost comes first, what was seen since the restore after it."""

from collections.abc import Sequence
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from domain.made import DEADLINE, HOUR, MINUTE, TOLD, seen
from forestall.domain.action import Action
from forestall.domain.evidence import Status, Witness
from forestall.domain.record import Outcome, Receipt, Record, after_evidence, after_intent, after_receipt
from forestall.domain.replay import Change, replayed

BEFORE = DEADLINE - HOUR


def word(status: Status, minute: int, witness: Witness = Witness.PROBE) -> Change:
    return partial(after_evidence, evidence=seen(status, DEADLINE + minute * MINUTE, witness))


def intent(action: Action, minute: int) -> Change:
    return partial(after_intent, action=action, at=DEADLINE + minute * MINUTE)


def receipt(action: Action, outcome: Outcome, minute: int) -> Change:
    return partial(after_receipt, action=action, receipt=Receipt(outcome, DEADLINE + minute * MINUTE))


changes = st.lists(
    st.builds(word, st.sampled_from(Status), st.integers(0, 90), st.sampled_from(Witness))
    | st.builds(intent, st.sampled_from(Action), st.integers(0, 90))
    | st.builds(
        receipt, st.sampled_from(Action), st.sampled_from([Outcome.DONE, Outcome.REFUSED]), st.integers(0, 90)
    ),
    max_size=12,
)


def through(record: Record, history: Sequence[Change]) -> Record:
    for change in history:
        record = change(record)
    return record


@given(changes)
def test_told_again_a_record_is_what_it_was(history: list[Change]):
    """R17."""
    assert replayed(TOLD, history, BEFORE) == through(TOLD, history)


def test_a_word_since_the_restore_does_not_make_a_lost_one_too_old():
    """P6.3: warned and then seen fixed, all lost; vulnerable again it is warned again."""
    lost = [
        word(Status.AFFECTED, 0),
        intent(Action.WARN, 1),
        receipt(Action.WARN, Outcome.DONE, 1),
        word(Status.FIXED, 5),
    ]
    since = word(Status.AFFECTED, 60)
    told = replayed(since(TOLD), [*lost, since], BEFORE)
    assert told == through(TOLD, [*lost, since])
    assert (told.warned_at, told.probe_status) == (None, Status.AFFECTED)


def test_a_word_that_was_only_repeated_since_the_restore_still_counts():
    """A2: it is in no entry, and yet the newest thing known."""
    lost = [word(Status.AFFECTED, 0), intent(Action.WARN, 1), receipt(Action.WARN, Outcome.DONE, 1)]
    restored = word(Status.FIXED, 60)(word(Status.FIXED, -120)(TOLD))
    told = replayed(restored, lost, BEFORE - 10 * HOUR)
    assert (told.probe_status, told.probe_at) == (Status.FIXED, DEADLINE + 60 * MINUTE)
    assert (told.fixed_at, told.warning_at) == (DEADLINE + 60 * MINUTE, None)


def test_a_word_from_before_the_backup_is_older_than_what_was_lost():
    told = replayed(word(Status.FIXED, -90)(TOLD), [word(Status.AFFECTED, 0)], DEADLINE - 100 * MINUTE)
    assert (told.probe_status, told.probe_at, told.fixed_at) == (Status.AFFECTED, DEADLINE, None)
