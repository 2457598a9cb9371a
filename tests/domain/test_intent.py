"""What is to be done, as intents with a key that makes twice once (A12)."""

from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import (
    DAY,
    DEADLINE,
    DEVICE,
    ENFORCING,
    MINUTE,
    POLICY,
    SITE,
    TOLD,
    campaigns,
    case_at,
    instants,
    records,
    vulnerable,
)
from forestall.domain.action import Action
from forestall.domain.campaign import Campaign
from forestall.domain.events import Event, EventKind
from forestall.domain.intent import Intent, concluded, intend, intended, intent_of, propose, round_of
from forestall.domain.plan import RULES, decide
from forestall.domain.record import Outcome, Receipt, Record, after_intent

NOW = DEADLINE + DAY


@given(st.lists(records, max_size=6), campaigns(), instants)
def test_a_pass_proposes_what_the_rules_say_and_why(fleet: list[Record], campaign: Campaign, now: datetime):
    """A12: the row's name and paragraph are the cause that the record keeps."""
    rules = [decide(case_at(record, campaign, now)) for record in fleet]
    expected = [(rule.name, rule.paragraph, rule.then) for rule in rules if rule.then is not None]
    proposed = propose(fleet, campaign, now, POLICY)
    assert [(intent.rule, intent.paragraph, intent.action) for intent in proposed] == expected
    assert all((intent.campaign, intent.revision) == (campaign.id, campaign.revision) for intent in proposed)


def test_nobody_proposes_nothing():
    """A8: an empty selection is nobody."""
    assert propose([], ENFORCING, NOW, POLICY) == []


def test_a_row_that_leaves_a_machine_alone_makes_no_intent():
    for rule in RULES:
        intent = intend(TOLD, rule, ENFORCING.id, 1)
        assert (intent is None) == (rule.then is None)


def test_an_intent_says_all_that_its_executor_needs():
    late = vulnerable(TOLD, NOW)
    assert propose([late], ENFORCING, NOW, POLICY) == [
        Intent(ENFORCING.id, 1, DEVICE, Action.WARN, 0, SITE, "warn", "P6.3")
    ]


@given(records, st.sampled_from(Action))
def test_two_passes_over_the_same_record_make_the_same_key(record: Record, action: Action):
    """A12: two schedulers, or one that was restarted, propose the same intent: twice is once."""
    assert round_of(action, record) == round_of(action, record._replace())


@pytest.mark.parametrize("action", [Action.INSTALL, Action.LOOK])
def test_the_next_install_or_check_is_a_new_one(action: Action):
    """P6.4, A4."""
    first = after_intent(TOLD, action, NOW)
    second = after_intent(first, action, NOW + 2 * MINUTE)
    assert len({round_of(action, record) for record in (TOLD, first, second)}) == 3


ONCE = [action for action in Action if action not in {Action.INSTALL, Action.LOOK}]


@pytest.mark.parametrize("action", ONCE)
def test_all_else_happens_once_an_episode(action: Action):
    """P6.3: one final warning, one removal."""
    ordered = after_intent(TOLD, action, NOW)
    assert round_of(action, ordered) == round_of(action, TOLD)
    assert round_of(action, TOLD._replace(episode=1)) != round_of(action, TOLD)


def test_a_night_of_passes_orders_each_thing_once():
    """A12: an unmanaged machine, vulnerable and never answering: two hours of passes, no key twice."""
    record, keys = vulnerable(TOLD._replace(announced_at=None), NOW), []
    answers: dict[Action, Callable[[Record, datetime], Record]] = {
        Action.WARN: lambda changed, now: changed._replace(warned_at=now)
    }
    for count in range(120):
        now = NOW + count * MINUTE
        for intent in propose([record], ENFORCING, now, POLICY):
            keys.append((intent.action, intent.round))
            record = after_intent(record, intent.action, now)
            record = answers.get(intent.action, lambda same, _: same)(record, now)
    assert len(set(keys)) == len(keys)
    assert {action for action, _ in keys} == {Action.ANNOUNCE, Action.WARN, Action.LOOK}


@given(records, campaigns(), instants, st.sampled_from(Outcome), st.text(max_size=9))
def test_an_intent_is_read_back_from_its_ledger_entries(
    record: Record, campaign: Campaign, now: datetime, outcome: Outcome, detail: str
):
    """A12: after a restore the sink's entries say what was ordered since, and what became of it."""
    for intent in propose([record], campaign, now, POLICY):
        ordered, ended = intended(intent, "me"), concluded(intent, Receipt(outcome, now, detail), "me")
        assert intent_of(ordered) == intent_of(ended) == intent
        assert (ordered.rule, ordered.paragraph) == (intent.rule, intent.paragraph)
        assert (ended.kind is EventKind.DONE) == (outcome is Outcome.DONE)
        assert ended.body is not None
        assert (ended.body["outcome"], ended.body["detail"]) == (outcome, detail)


@pytest.mark.parametrize("kind", list(EventKind))
def test_an_entry_about_something_else_is_no_intent(kind: EventKind):
    assert intent_of(Event(kind, "aiko", "c1", body={"why": "x"})) is None
    assert intent_of(Event(kind, "aiko", "c1")) is None
