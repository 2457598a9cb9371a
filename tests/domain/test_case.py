"""From dated facts to a case: facts that imply each other never contradict, and every limit holds to the minute."""

# ruff: noqa: E501 - a table reads best one row a line

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from domain.made import (
    DAY,
    DEADLINE,
    ENFORCING,
    HOUR,
    MINUTE,
    POLICY,
    START,
    TESTING,
    TOLD,
    VOLUNTARY,
    campaigns,
    case_at,
    instants,
    records,
    taken,
    vulnerable,
)
from domain.search import LAWS, holds
from forestall.domain.campaign import Campaign, Step
from forestall.domain.evidence import Status
from forestall.domain.plan import decide
from forestall.domain.record import Record

NOW = DEADLINE + 2 * DAY
IMMINENT = taken(VOLUNTARY, Step.IMMINENT, START + DAY)
ASKED = START + DAY
WAIVED = replace(ENFORCING, mail_waived=True)
MANAGED = TOLD._replace(managed=True)
AGENT_FAILS = {"failures": 3, "failing_since": NOW - DAY}


@settings(max_examples=500)
@given(records, campaigns(), instants)
def test_a_case_never_contradicts_itself(record: Record, campaign: Campaign, now: datetime):
    """What `search.LAWS` takes for granted in its proofs, whatever the record and the campaign."""
    case = case_at(record, campaign, now)
    assert [law for law, impossible in LAWS.items() if holds(impossible, case)] == []


@given(records, campaigns(), instants)
def test_every_case_is_decided(record: Record, campaign: Campaign, now: datetime):
    assert decide(case_at(record, campaign, now)).name


def at(**facts: Any) -> Record:
    return TOLD._replace(**facts)


@pytest.mark.parametrize(
    ("fact", "record", "holds_until", "campaign"),
    [
        pytest.param("online", MANAGED._replace(heard_at=NOW), NOW + 5 * HOUR, ENFORCING, id="P5.3: online for a round of check-ins and an hour"),
        pytest.param("exempt", at(exempt_until=NOW + DAY), NOW + DAY, ENFORCING, id="A1: an exemption ends"),
        pytest.param("forced", at(forced_at=NOW), NOW + POLICY.retry_after, ENFORCING, id="A4: a forced install is tried again later"),
        pytest.param("counting_down", at(counted_down_at=NOW), NOW + 30 * MINUTE, ENFORCING, id="A5: the countdown is half an hour"),
        pytest.param("looked", at(looked_at=NOW), NOW + POLICY.sweep_every, ENFORCING, id="P6.2: several times a day"),
        pytest.param("looked", at(looked_at=NOW, quarantined_at=NOW), NOW + 5 * MINUTE, ENFORCING, id="P6.5: a removed machine is checked every five minutes"),
        pytest.param("rechecked", vulnerable(at(warning_at=NOW - 15 * MINUTE, warned_at=NOW - 15 * MINUTE), NOW), NOW + 15 * MINUTE + timedelta(microseconds=1), ENFORCING, id="A2: proof older than 15 minutes removes nobody"),
    ],
)  # fmt: skip
def test_a_fact_ends_on_time(fact: str, record: Record, holds_until: datetime, campaign: Campaign):
    assert getattr(case_at(record, campaign, NOW), fact)
    assert getattr(case_at(record, campaign, holds_until - timedelta(microseconds=1)), fact)
    assert not getattr(case_at(record, campaign, holds_until), fact)


@pytest.mark.parametrize(
    ("fact", "record", "begins", "campaign"),
    [
        pytest.param("distributed", TOLD, START, VOLUNTARY, id="P4.4: distributed from then on"),
        pytest.param("overdue", TOLD, DEADLINE, VOLUNTARY, id="P5.4: overdue at the deadline itself, whether or not a pass has moved the phase"),
        pytest.param("overdue", TOLD, START + DAY, IMMINENT, id="P8.1: the announced deadline is void"),
        pytest.param("imminent", TOLD, START + DAY, IMMINENT, id="P8.1: declared"),
        pytest.param("recheck_due", at(warning_at=NOW, warned_at=NOW), NOW + 10 * MINUTE, ENFORCING, id="P6.4: the re-check is due ten minutes after the warning"),
        pytest.param("held_long", at(quarantined_at=NOW), NOW + DAY, ENFORCING, id="A2: held for a day"),
        pytest.param("lost", MANAGED._replace(heard_at=NOW - 2 * DAY, seen_at=NOW), NOW + DAY, ENFORCING, id="A4: silent for three days while the network sees it"),
        pytest.param("lost", MANAGED._replace(heard_at=NOW, **AGENT_FAILS), NOW, ENFORCING, id="A4: failed three times over a day"),
    ],
)  # fmt: skip
def test_a_fact_begins_on_time(fact: str, record: Record, begins: datetime, campaign: Campaign):
    assert not getattr(case_at(record, campaign, begins - timedelta(microseconds=1)), fact)
    assert getattr(case_at(record, campaign, begins), fact)


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        pytest.param(at(check_asked_at=ASKED, looked_at=ASKED - HOUR), "wished", id="in the voluntary period"),
        pytest.param(at(check_asked_at=ASKED, looked_at=ASKED), "free-to-choose", id="the check it asked for is under way"),
        pytest.param(at(check_asked_at=ASKED, looked_at=ASKED, probe_at=ASKED + MINUTE), "free-to-choose", id="the check has answered"),
        pytest.param(at(check_asked_at=ASKED, unread_at=ASKED + MINUTE), "free-to-choose", id="the check could not read it"),
        pytest.param(at(check_asked_at=ASKED, looked_at=ASKED - MINUTE, quarantined_at=ASKED - HOUR), "held-look", id="off the network: looked at before its five minutes are over"),
    ],
)  # fmt: skip
def test_an_owner_who_asks_for_a_check_gets_one(record: Record, rule: str):
    """A13, and no second one until somebody asks again."""
    seen = record._replace(probe_status=Status.AFFECTED, probe_at=record.probe_at or ASKED - 2 * HOUR)
    assert decide(case_at(seen, VOLUNTARY, ASKED + 2 * MINUTE)).name == rule


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(MANAGED._replace(heard_at=NOW - 5 * DAY), id="nobody sees it either: it is away (A11)"),
        pytest.param(MANAGED._replace(heard_at=NOW - 5 * DAY, seen_at=NOW - 6 * DAY), id="it was last seen before it was last heard: away (A11)"),
        pytest.param(MANAGED._replace(heard_at=NOW - 9 * DAY, seen_at=NOW - 4 * DAY), id="it was seen after it was heard, but not these three days: away (A11)"),
        pytest.param(MANAGED._replace(heard_at=NOW, failures=3, failing_since=NOW - 23 * HOUR), id="three failures within a day"),
        pytest.param(MANAGED._replace(heard_at=NOW, failures=2, failing_since=NOW - 5 * DAY), id="two failures"),
        pytest.param(TOLD._replace(heard_at=NOW - 5 * DAY, seen_at=NOW), id="unmanaged machines have no agent to lose"),
    ],
)  # fmt: skip
def test_an_agent_is_not_lost_where(record: Record):
    """A4, A11."""
    assert not case_at(record, ENFORCING, NOW).lost


@pytest.mark.parametrize(
    ("marks", "campaign", "warned", "refused"),
    [
        pytest.param({}, ENFORCING, False, False, id="no warning"),
        pytest.param({"warning_at": 0}, ENFORCING, False, False, id="on its way"),
        pytest.param({"warning_at": 0, "warned_at": 1}, ENFORCING, True, False, id="accepted"),
        pytest.param({"warning_at": 0, "refused_at": 1}, ENFORCING, False, True, id="refused"),
        pytest.param({"warning_at": 0, "warned_at": 1, "refused_at": 3}, ENFORCING, False, True, id="accepted, then it came back"),
        pytest.param({"warning_at": 0, "refused_at": 1, "warned_at": 3}, ENFORCING, True, False, id="refused, then accepted at the second attempt"),
        pytest.param({"warning_at": 4, "warned_at": 1}, ENFORCING, False, False, id="an earlier warning was accepted, this one is on its way"),
        pytest.param({"warned_at": 1}, ENFORCING, False, False, id="the receipt came after the machine was fixed"),
        pytest.param({"warning_at": 4, "refused_at": 1}, WAIVED, False, False, id="an earlier warning was refused, two people waive: this one is on its way"),
        pytest.param({"warning_at": 0, "refused_at": 1}, WAIVED, True, False, id="refused, and two people waive it"),
        pytest.param({"warning_at": 0, "warned_at": 1, "refused_at": 3}, WAIVED, True, False, id="it came back, and two people waive it"),
        pytest.param({"warning_at": 0}, WAIVED, False, False, id="waived, but nothing was tried yet"),
    ],
)  # fmt: skip
def test_what_counts_as_a_warning(marks: dict[str, int], campaign: Campaign, warned: bool, refused: bool):
    """A14: no mail, no removal; a mail that comes back was none."""
    record = TOLD._replace(**{name: NOW + minutes * MINUTE for name, minutes in marks.items()})
    case = case_at(record, campaign, NOW + HOUR)
    assert (case.warned, case.refused) == (warned, refused)


def looks(record: Record, campaign: Campaign, start: datetime, end: datetime) -> int:
    """Count the checks ordered in passes a minute apart while nobody answers."""
    count, now = 0, start
    while now < end:
        if not case_at(record, campaign, now).looked:
            record, count = record._replace(looked_at=now), count + 1
        now += MINUTE
    return count


def test_a_warned_machine_that_does_not_answer_is_soon_asked_less_often():
    """P6.4 asks every two minutes for a quarter of an hour; a machine left at home for a week is not asked 5,000 times."""
    warned = vulnerable(at(warning_at=NOW, warned_at=NOW), NOW)
    assert looks(warned, ENFORCING, NOW, NOW + 15 * MINUTE) == 8
    assert looks(warned, ENFORCING, NOW, NOW + 7 * DAY) < 330


def test_a_machine_forced_without_an_offer_has_an_order_to_take_back():
    """A7: who came after the deadline was never offered the patch, only forced; its order is recalled as well."""
    record = MANAGED._replace(forced_at=NOW, heard_at=NOW)
    assert decide(case_at(record, taken(ENFORCING, Step.WITHDRAW, NOW), NOW)).name == "recall"


def test_nothing_is_due_during_the_test():
    """P4.2."""
    case = case_at(TOLD, TESTING, NOW)
    assert (case.distributed, case.overdue, case.imminent) == (False, False, False)


def test_a_word_from_the_future_removes_nobody():
    """A2: a check dated ahead by a wrong clock is no proof."""
    warned = at(warning_at=NOW - HOUR, warned_at=NOW - HOUR)
    assert not case_at(vulnerable(warned, NOW + HOUR), ENFORCING, NOW).rechecked
    assert case_at(vulnerable(warned, NOW), ENFORCING, NOW).rechecked


def test_unreadable_until_a_probe_reads_it():
    """A2."""
    record = at(unread_at=NOW - HOUR)
    assert case_at(record, ENFORCING, NOW).unreadable
    assert not case_at(record._replace(probe_status=Status.FIXED, probe_at=NOW), ENFORCING, NOW).unreadable
