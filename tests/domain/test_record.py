"""What happens to a record: evidence, orders, receipts; a fresh start forgets the warning, and nothing else does."""

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
    MINUTE,
    TOLD,
    case_at,
    instants,
    records,
    seen,
    vulnerable,
)
from forestall.domain.action import Action
from forestall.domain.case import evidence_of
from forestall.domain.evidence import CLEAN, Evidence, Status, Witness
from forestall.domain.intent import round_of
from forestall.domain.plan import decide
from forestall.domain.record import (
    EPISODE,
    INTENT_MARKS,
    RECEIPT_MARKS,
    WITNESS_COLUMNS,
    Outcome,
    Receipt,
    Record,
    after_asking,
    after_attempts,
    after_evidence,
    after_intent,
    after_reading,
    after_receipt,
)

NOW = DEADLINE + DAY
WARNED = vulnerable(TOLD, NOW)._replace(warning_at=NOW, warned_at=NOW + MINUTE)
EVIDENCE = st.builds(Evidence, st.sampled_from(Witness), st.sampled_from(Status), instants)


def columns_of(witness: Witness) -> tuple[str, str]:
    return WITNESS_COLUMNS[witness]


@given(records, EVIDENCE)
def test_an_observation_is_kept_as_its_witness_last_word(record: Record, evidence: Evidence):
    """A2: the newest word of each witness stays; an older one, or none at all, changes nothing of it."""
    status_column, at_column = columns_of(evidence.witness)
    last_at: datetime | None = getattr(record, at_column)
    changed = after_evidence(record, evidence)
    late = last_at is not None and evidence.observed_at < last_at
    if late:
        assert changed == record
    elif evidence.status is Status.UNKNOWN:
        assert evidence_of(changed) == evidence_of(record)
    else:
        assert (getattr(changed, status_column), getattr(changed, at_column)) == (
            evidence.status,
            evidence.observed_at,
        )


@given(records, st.lists(EVIDENCE, max_size=5))
def test_evidence_never_changes_what_was_ordered_or_who_it_is(record: Record, words: list[Evidence]):
    changed = record
    for word in words:
        changed = after_evidence(changed, word)
    kept = set(Record._fields) - {name for pair in WITNESS_COLUMNS.values() for name in pair}
    kept -= {"unread_at", "fixed_at", "episode", "disputed_at", "reviewed_at", *EPISODE}
    assert {name: getattr(changed, name) for name in kept} == {name: getattr(record, name) for name in kept}
    assert changed.episode >= record.episode


@given(records, EVIDENCE)
def test_only_a_clean_word_ends_an_episode_and_never_that_of_a_removed_machine(
    record: Record, evidence: Evidence
):
    """P6.3, P6.5: whoever is off the network stays so until the release was read back."""
    changed = after_evidence(record, evidence)
    if changed.episode > record.episode:
        assert evidence.status in CLEAN
        assert record.quarantined_at is None
        assert all(getattr(changed, name) is None for name in EPISODE)


def test_vulnerable_again_is_warned_again():
    """P6.3: fixed after the warning, rolled back later: a new episode with its own warning and its own time."""
    fixed = after_evidence(WARNED, seen(Status.FIXED, NOW + HOUR))
    again = after_evidence(fixed, seen(Status.AFFECTED, NOW + DAY))
    rule = decide(case_at(again, ENFORCING, NOW + DAY))
    assert rule.name == "warn"
    assert round_of(Action.WARN, again) != round_of(Action.WARN, WARNED._replace(warning_at=None))


def test_a_receipt_of_an_earlier_warning_is_no_warning():
    """A14: the mail was accepted after the machine was fixed; vulnerable again, it is warned anew."""
    fixed = after_evidence(WARNED._replace(warned_at=None), seen(Status.FIXED, NOW + MINUTE))
    late = after_receipt(fixed, Action.WARN, Receipt(Outcome.DONE, NOW + 2 * MINUTE))
    again = after_evidence(late, seen(Status.AFFECTED, NOW + HOUR))
    assert decide(case_at(again, ENFORCING, NOW + HOUR)).name == "warn"
    ordered = after_intent(again, Action.WARN, NOW + HOUR)
    proof = after_evidence(ordered, seen(Status.AFFECTED, NOW + HOUR + MINUTE))
    assert decide(case_at(proof, ENFORCING, NOW + HOUR + MINUTE)).name == "unwarned"


def test_a_bounced_warning_goes_to_a_person():
    """A14."""
    bounced = after_receipt(WARNED, Action.WARN, Receipt(Outcome.REFUSED, NOW + 5 * MINUTE))
    assert decide(case_at(bounced, ENFORCING, NOW + 6 * MINUTE)).name == "no-mail"


@pytest.mark.parametrize("witness", [Witness.AGENT, Witness.VPN, Witness.PROBE])
def test_first_fixed_is_the_first_clean_word_since_the_last_other(witness: Witness):
    """P10.1: when a machine was fixed does not move with every report that it still is."""
    once = after_evidence(TOLD, seen(Status.FIXED, NOW, witness))
    twice = after_evidence(once, seen(Status.FIXED, NOW + DAY, witness))
    assert twice.fixed_at == NOW
    relapsed = after_evidence(twice, seen(Status.AFFECTED, NOW + 2 * DAY, witness))
    assert relapsed.fixed_at is None


def test_a_package_list_is_no_clean_word_while_a_restart_is_pending():
    """A6: the agent says that the old code still runs; fixed is counted from its word, not from the list's."""
    pending = after_evidence(WARNED, seen(Status.PENDING_RESTART, NOW, Witness.AGENT))
    listed = after_evidence(pending, seen(Status.FIXED, NOW + MINUTE, Witness.INVENTORY))
    assert (listed.fixed_at, listed.episode, listed.warned_at) == (None, 0, WARNED.warned_at)
    restarted = after_evidence(listed, seen(Status.FIXED, NOW + HOUR, Witness.AGENT))
    assert restarted.fixed_at == NOW + HOUR


@given(records, st.sampled_from(Action), instants)
def test_an_order_leaves_its_mark_and_no_other(record: Record, action: Action, now: datetime):
    changed = after_intent(record, action, now)
    differing = {name for name in Record._fields if getattr(changed, name) is not getattr(record, name)}
    assert differing <= {INTENT_MARKS.get(action, "")}
    if mark := INTENT_MARKS.get(action):
        assert getattr(changed, mark) == now


def test_every_action_is_marked_when_ordered_or_when_done():
    """Or the next pass would order it again for ever."""
    by_receipt = {action for action, _ in RECEIPT_MARKS} | {Action.RELEASE}
    assert set(Action) == set(INTENT_MARKS) | by_receipt
    assert {*INTENT_MARKS.values(), *RECEIPT_MARKS.values(), *EPISODE} <= set(Record._fields)


ORDERS = st.sampled_from(sorted(INTENT_MARKS))


@given(records, ORDERS, instants)
def test_what_the_guard_dropped_may_be_ordered_anew(record: Record, action: Action, now: datetime):
    """Dropped right before the effect: the mark is gone, and the next order is a new intent, not the same one."""
    ordered = after_intent(record, action, now)
    dropped = after_receipt(ordered, action, Receipt(Outcome.DROPPED, now + MINUTE))
    assert getattr(dropped, INTENT_MARKS[action]) is None
    assert round_of(action, dropped) != round_of(action, record)


HISTORY = st.lists(
    st.tuples(st.sampled_from(["look", "ask", "clean", "drop", "release", "relapse"]), st.integers(1, 600)),
    min_size=1,
    max_size=30,
)


@given(HISTORY, st.sampled_from([Action.LOOK, Action.INSTALL]))
def test_no_two_checks_or_installs_share_a_number(history: list[tuple[str, int]], action: Action):
    """A12: the number makes an intent unique; one that comes back would silently never be carried out."""
    record, now, numbers = TOLD, NOW, []
    for what, minutes in history:
        now += timedelta(minutes=minutes)
        match what:
            case "look":
                numbers.append(round_of(action, record))
                record = after_intent(record, action, now)
            case "ask":
                record = after_asking(record, now)
            case "clean":
                record = after_evidence(record._replace(warning_at=now), seen(Status.FIXED, now))
            case "relapse":
                record = after_evidence(record, seen(Status.AFFECTED, now))
            case "release":
                record = after_receipt(record, Action.RELEASE, Receipt(Outcome.DONE, now))
            case _:
                record = after_receipt(record, action, Receipt(Outcome.DROPPED, now))
    assert len(set(numbers)) == len(numbers)


def test_a_release_is_a_fresh_start():
    """P6.5: let back, and if it is ever vulnerable again it is warned before anything else."""
    off = after_receipt(WARNED, Action.QUARANTINE, Receipt(Outcome.DONE, NOW + 12 * MINUTE))
    assert off.quarantined_at == NOW + 12 * MINUTE
    back = after_receipt(off, Action.RELEASE, Receipt(Outcome.DONE, NOW + HOUR))
    assert (back.quarantined_at, back.released_at, back.episode) == (None, NOW + HOUR, 1)
    assert all(getattr(back, name) is None for name in EPISODE)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
@pytest.mark.parametrize("action", [Action.QUARANTINE, Action.RELEASE])
def test_what_the_switch_did_not_do_is_not_written_as_done(action: Action, outcome: Outcome):
    """A12: state follows the enforcement point's answer, never the intention."""
    before = WARNED._replace(quarantined_at=NOW if action is Action.RELEASE else None)
    assert after_receipt(before, action, Receipt(outcome, NOW + HOUR)) == before


@given(records, st.sampled_from(Action), st.sampled_from(Outcome), instants)
def test_a_receipt_never_touches_what_witnesses_said(
    record: Record, action: Action, outcome: Outcome, now: datetime
):
    changed = after_receipt(record, action, Receipt(outcome, now))
    assert evidence_of(changed) == evidence_of(record)


@pytest.mark.parametrize(
    ("status", "witness", "unread"),
    [
        (Status.UNKNOWN, Witness.PROBE, True),
        (Status.UNKNOWN, Witness.AGENT, False),
        (Status.AFFECTED, Witness.PROBE, False),
    ],
    ids=["a probe that cannot tell", "an agent that cannot tell", "a probe that can"],
)
def test_unreadable_is_noted_of_probes_only(status: Status, witness: Witness, unread: bool):
    """A2: then its owner is asked."""
    expected: Any = NOW if unread else None
    assert after_evidence(TOLD, seen(status, NOW, witness)).unread_at == expected


def test_an_agent_that_keeps_failing_has_failed_since_its_first_failure():
    """A4: three times over a day is counted from the first; a success forgets them all."""
    managed = TOLD._replace(managed=True, heard_at=NOW + DAY)
    once = after_attempts(managed, 1, NOW, forced=True)
    thrice = after_attempts(once, 3, NOW + 16 * HOUR, forced=True)
    assert (thrice.failures, thrice.failing_since, thrice.forced_at) == (3, NOW, NOW)
    assert not case_at(thrice, ENFORCING, NOW + DAY - MINUTE).lost
    assert case_at(thrice, ENFORCING, NOW + DAY).lost
    mended = after_attempts(thrice, 0, NOW + DAY, forced=True)
    assert (mended.failures, mended.failing_since) == (0, None)


def test_an_agent_that_forced_by_its_own_clock_is_known_to_have_been_forced():
    """A11, P10.1: its last valid order binds it offline; the server's own order, if there was one, stays."""
    assert after_attempts(TOLD, 0, NOW, forced=True).forced_at == NOW
    assert after_attempts(TOLD, 1, NOW, forced=False).forced_at is None
    assert after_attempts(TOLD._replace(forced_at=DEADLINE), 0, NOW, forced=True).forced_at == DEADLINE


def test_a_closed_port_that_nobody_remembers_is_adopted_and_then_released():
    """P6.5: nothing stays closed without a live reason."""
    adopted = after_reading(after_evidence(TOLD, seen(Status.FIXED, NOW)), closed=True, at=NOW)
    assert adopted.quarantined_at == NOW
    assert decide(case_at(adopted, ENFORCING, NOW)).name == "release-fixed"


def test_a_port_that_somebody_else_opened_is_a_new_occasion():
    """P6.4: still vulnerable, it may be closed again on fresh proof, and that is a new intent."""
    off = WARNED._replace(quarantined_at=NOW)
    opened = after_reading(off, closed=False, at=NOW + HOUR)
    assert opened.quarantined_at is None
    assert round_of(Action.QUARANTINE, opened) != round_of(Action.QUARANTINE, off)


@given(records, st.booleans(), instants)
def test_reading_what_is_remembered_changes_nothing(record: Record, closed: bool, now: datetime):
    """A13."""
    read = after_reading(record, closed, now)
    assert (read.quarantined_at is not None) == closed
    assert after_reading(read, closed, now + MINUTE) == read


def test_a_check_is_asked_for_once_a_minute_at_most():
    """A13."""
    asked = after_asking(TOLD, NOW)
    assert asked.check_asked_at == NOW
    assert after_asking(asked, NOW + MINUTE - timedelta(microseconds=1)) == asked
    assert after_asking(asked, NOW + MINUTE).check_asked_at == NOW + MINUTE
