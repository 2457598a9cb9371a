"""The agent's rule table: a case for every row, one for every overlap of neighbours, and what no case may ever do."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.evidence import Status
from forestall.domain.order import (
    RULES,
    CampaignId,
    Facts,
    Hold,
    Limits,
    Order,
    Standing,
    Step,
    Verb,
    came_back,
    missed,
    next_step,
)
from forestall.domain.product import ProductName
from forestall.domain.rule import Rule

OFFER = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
DEADLINE = OFFER + timedelta(days=8)
LIMITS = Limits()
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

ORDER = Order(
    campaign=CampaignId("c-1"),
    revision=1,
    verb=Verb.UPGRADE,
    product=ProductName.DEBIAN,
    release="bookworm",
    source="openssl",
    version="3.0.22-1~deb12u2",
    offered_at=OFFER,
    force_at=DEADLINE,
    expires_at=DEADLINE + timedelta(hours=20),
    level="critical",
    texts={},
)
READY = Standing(Status.AFFECTED, offered=True, downloaded=True, checked_at=DEADLINE - HOUR)
"""Affected, told, downloaded; asked the server an hour before the deadline."""

CASES = [
    pytest.param(
        "required",
        {"verb": Verb.UNDO, "back_to": "1.0"},
        {"required": True, "status": Status.AFFECTED},
        DEADLINE,
        id="what another campaign requires is not taken back, deadline or not",
    ),
    pytest.param(
        "recalled", {"verb": Verb.RECALL}, {}, DEADLINE, id="a recalled order is dropped, deadline or not"
    ),
    pytest.param(
        "recalled",
        {"verb": Verb.RECALL},
        {"status": Status.PENDING_RESTART},
        DEADLINE,
        id="a recall comes before waiting for a restart",
    ),
    pytest.param(
        "restart-pending",
        {},
        {"status": Status.PENDING_RESTART},
        DEADLINE + HOUR,
        id="what is installed and waits for a restart is not installed again",
    ),
    pytest.param("nothing-to-do", {}, {"status": Status.FIXED}, DEADLINE, id="a fixed machine rests"),
    pytest.param(
        "nothing-to-do", {}, {"status": Status.NOT_AFFECTED}, OFFER, id="a machine it does not concern rests"
    ),
    pytest.param(
        "nothing-to-do",
        {"expires_at": OFFER},
        {"status": Status.FIXED},
        DEADLINE,
        id="a fixed machine needs no fresh order",
    ),
    pytest.param("expired", {"expires_at": DEADLINE}, {}, DEADLINE, id="an order is void from its end on"),
    pytest.param(
        "expired",
        {"expires_at": OFFER - HOUR},
        {},
        OFFER - HOUR,
        id="an expired order does not wait for its offer",
    ),
    pytest.param("not-yet-offered", {}, {}, OFFER - MINUTE, id="nothing is shown before the offer"),
    pytest.param(
        "not-yet-offered", {}, {"offered": False}, OFFER - MINUTE, id="not even to who was never told of it"
    ),
    pytest.param("offer", {}, {"offered": False}, OFFER, id="the person is told first"),
    pytest.param(
        "offer", {}, {"offered": False, "downloaded": False}, OFFER, id="telling comes before downloading"
    ),
    pytest.param(
        "offer",
        {},
        {"offered": False},
        DEADLINE + HOUR,
        id="even after the deadline the person is told first",
    ),
    pytest.param(
        "in-use",
        {},
        {"picked_at": OFFER + HOUR, "holds": {Hold.PRESENTATION}},
        OFFER + HOUR,
        id="the picked moment comes in the middle of a talk",
    ),
    pytest.param(
        "in-use",
        {},
        {"picked_at": OFFER + HOUR, "holds": {Hold.BATTERY}, "checked_at": OFFER + HOUR},
        DEADLINE - MINUTE,
        id="a picked moment is held up to the deadline",
    ),
    pytest.param(
        "ask-before-chosen",
        {},
        {"picked_at": OFFER + HOUR},
        OFFER + HOUR,
        id="the picked moment has come: the server is asked first",
    ),
    pytest.param(
        "as-picked",
        {},
        {"picked_at": OFFER + HOUR, "checked_at": OFFER + HOUR},
        OFFER + HOUR,
        id="asked just now: installed at the picked moment",
    ),
    pytest.param(
        "as-picked",
        {},
        {"picked_at": OFFER + HOUR, "unanswered": True, "downloaded": False},
        OFFER + HOUR,
        id="the person's own moment needs no answer, nor a download ahead",
    ),
    pytest.param(
        "as-picked",
        {},
        {"picked_at": DEADLINE, "returned_at": DEADLINE, "unanswered": True},
        DEADLINE + MINUTE,
        id="nobody has to wait for the end of a countdown",
    ),
    pytest.param(
        "download-ahead", {}, {"downloaded": False}, OFFER, id="it is fetched in the voluntary period"
    ),
    pytest.param(
        "download-ahead",
        {},
        {"downloaded": False},
        DEADLINE - MINUTE,
        id="even in the last minutes it is fetched first",
    ),
    pytest.param("last-minutes", {}, {}, DEADLINE - 30 * MINUTE, id="half an hour before the deadline"),
    pytest.param(
        "last-minutes",
        {},
        {"holds": {Hold.FULL_SCREEN}},
        DEADLINE - MINUTE,
        id="a minute before the deadline it is only told, in use or not",
    ),
    pytest.param(
        "voluntary-period",
        {},
        {},
        DEADLINE - 31 * MINUTE,
        id="until half an hour before the deadline the person is free",
    ),
    pytest.param(
        "voluntary-period",
        {},
        {"picked_at": OFFER + HOUR, "holds": {Hold.PRESENTATION}},
        OFFER + HOUR - MINUTE,
        id="a picked moment is awaited, whatever goes on before it",
    ),
    pytest.param(
        "voluntary-period",
        {},
        {"status": Status.UNKNOWN},
        DEADLINE - HOUR,
        id="an unknown state is offered like an open one",
    ),
    pytest.param(
        "back-too-late",
        {},
        {"returned_at": DEADLINE + HOUR},
        DEADLINE + HOUR,
        id="who was away at the deadline gets a countdown",
    ),
    pytest.param(
        "back-too-late",
        {},
        {"returned_at": DEADLINE + HOUR, "failed_at": DEADLINE + HOUR},
        DEADLINE + HOUR + 29 * MINUTE,
        id="the countdown comes before a retry",
    ),
    pytest.param(
        "failed-lately",
        {},
        {"failed_at": DEADLINE},
        DEADLINE + 7 * HOUR,
        id="a failed install is not tried again at once",
    ),
    pytest.param(
        "failed-lately",
        {},
        {"failed_at": DEADLINE, "checked_at": None},
        DEADLINE + 7 * HOUR,
        id="a pause after a failure needs no check-in",
    ),
    pytest.param(
        "no-recall-check", {}, {"checked_at": None}, DEADLINE, id="no force without ever having asked"
    ),
    pytest.param(
        "no-recall-check",
        {},
        {"checked_at": DEADLINE - 24 * HOUR - MINUTE},
        DEADLINE,
        id="no force when the last answer is older than a day",
    ),
    pytest.param(
        "no-recall-check",
        {},
        {"checked_at": DEADLINE - 25 * HOUR, "unanswered": True},
        DEADLINE,
        id="nor when the server was asked in vain just now",
    ),
    pytest.param(
        "no-recall-check",
        {},
        {"checked_at": DEADLINE + HOUR},
        DEADLINE,
        id="an answer from the future is none: the clock was set back",
    ),
    pytest.param(
        "last-recall-check", {}, {}, DEADLINE, id="a machine that last asked an hour ago asks once more"
    ),
    pytest.param(
        "force", {}, {"checked_at": DEADLINE}, DEADLINE, id="asked just now: installed at the deadline"
    ),
    pytest.param(
        "force",
        {},
        {"checked_at": DEADLINE, "holds": set(Hold), "picked_at": DEADLINE + HOUR},
        DEADLINE,
        id="nothing holds past the deadline, and no moment after it counts",
    ),
    pytest.param(
        "force",
        {"imminent": True},
        {"checked_at": DEADLINE + HOUR, "returned_at": DEADLINE + HOUR},
        DEADLINE + HOUR,
        id="an imminent threat waits for no countdown",
    ),
    pytest.param(
        "force",
        {},
        {"unanswered": True},
        DEADLINE,
        id="offline is no way out: asked in vain, but the last answer is of today",
    ),
    pytest.param(
        "force",
        {},
        {"checked_at": DEADLINE, "downloaded": False},
        DEADLINE,
        id="what could not be downloaded ahead is tried all the same",
    ),
    pytest.param(
        "force",
        {},
        {"checked_at": DEADLINE + HOUR + 30 * MINUTE, "returned_at": DEADLINE + HOUR},
        DEADLINE + HOUR + 30 * MINUTE,
        id="the countdown ends",
    ),
    pytest.param(
        "force",
        {},
        {"checked_at": DEADLINE + 8 * HOUR, "failed_at": DEADLINE},
        DEADLINE + 8 * HOUR,
        id="eight hours after a failure it is tried again",
    ),
    pytest.param(
        "force",
        {},
        {"checked_at": DEADLINE, "status": Status.UNKNOWN},
        DEADLINE,
        id="apt judges where we cannot tell",
    ),
]


@pytest.mark.parametrize(("rule", "order", "standing", "now"), CASES)
def test_the_table_decides(
    rule: str, order: dict[str, object], standing: dict[str, object], now: datetime
) -> None:
    """P5.2, P5.3, P5.4, A3, A4, A5, A6, A7, A11."""
    assert next_step(replace(ORDER, **order), replace(READY, **standing), now, LIMITS).rule.name == rule


def test_every_row_has_a_case() -> None:
    assert {case.values[0] for case in CASES} == {rule.name for rule in RULES}


def test_every_row_can_be_reached_and_every_fact_decides_something() -> None:
    reached = {first_row(facts).name for facts in everything()}
    assert reached == {rule.name for rule in RULES}
    assert {fact for rule in RULES for fact in rule.when} == set(Facts._fields)


@pytest.mark.parametrize(
    ("upper", "lower"), [pytest.param(a, b, id=f"{a.name} over {b.name}") for a, b in pairwise(RULES)]
)
def test_where_neighbours_overlap_the_upper_one_wins(upper: Rule[Step], lower: Rule[Step]) -> None:
    both = [facts for facts in everything() if applies(upper, facts) and applies(lower, facts)]
    assert all(RULES.index(first_row(facts)) <= RULES.index(upper) for facts in both)
    exclusive = {("restart-pending", "nothing-to-do")}
    assert bool(both) != ((upper.name, lower.name) in exclusive)


def test_no_case_at_all_forces_what_must_not_be_forced() -> None:
    """P5.4, A5, A7, A11, over every combination of facts."""
    for facts in everything():
        if first_row(facts).then is Step.FORCE:
            assert all((facts.released, facts.overdue, facts.offered, facts.asked_today, facts.asked_now))
            assert not any((facts.recalled, facts.expired, facts.counting_down, facts.failed_lately))
            assert facts.status in {Status.AFFECTED, Status.UNKNOWN}


def test_no_case_at_all_installs_for_a_person_who_did_not_pick() -> None:
    """P5.2, A7: only at the picked moment, with nothing that holds, in the order's time, asked just before."""
    for facts in everything():
        if first_row(facts).then is Step.INSTALL:
            assert all((facts.picked, facts.released, facts.offered, facts.asked_now))
            assert not any((facts.held, facts.recalled, facts.expired))
            assert facts.status in {Status.AFFECTED, Status.UNKNOWN}


INSTANTS = st.integers(-40 * 86_400, 40 * 86_400).map(lambda seconds: DEADLINE + timedelta(seconds=seconds))
STANDINGS = st.builds(
    Standing,
    status=st.sampled_from(Status),
    offered=st.booleans(),
    downloaded=st.booleans(),
    checked_at=st.none() | INSTANTS,
    unanswered=st.booleans(),
    returned_at=st.none() | INSTANTS,
    failed_at=st.none() | INSTANTS,
    picked_at=st.none() | INSTANTS,
    holds=st.frozensets(st.sampled_from(Hold)),
)


@given(STANDINGS, INSTANTS, INSTANTS)
def test_force_is_never_before_its_time(standing: Standing, now: datetime, expires_at: datetime) -> None:
    """P5.4, A5, A11 in instants."""
    decision = next_step(replace(ORDER, expires_at=expires_at), standing, now, LIMITS)
    if decision.step is Step.FORCE:
        assert DEADLINE <= now < expires_at
        assert standing.checked_at is not None
        assert now - timedelta(hours=24) <= standing.checked_at <= now
        assert standing.returned_at is None or now >= standing.returned_at + timedelta(minutes=30)


@given(STANDINGS, INSTANTS)
def test_what_waits_says_until_when_and_then_something_else_applies(
    standing: Standing, now: datetime
) -> None:
    decision = next_step(ORDER, standing, now, LIMITS)
    if decision.step in {Step.WAIT, Step.COUNT_DOWN}:
        assert decision.until is not None
        assert decision.until > now
        later = next_step(ORDER, standing, decision.until, LIMITS)
        assert (later.rule.name, later.until) != (decision.rule.name, decision.until)


@given(STANDINGS, INSTANTS)
def test_what_holds_ends_at_the_deadline(standing: Standing, now: datetime) -> None:
    """P5.4: from then on a hold changes nothing at all."""
    if now >= DEADLINE:
        free = replace(standing, holds=frozenset())
        assert next_step(ORDER, standing, now, LIMITS) == next_step(ORDER, free, now, LIMITS)


MISSED = [
    pytest.param(OFFER - HOUR, OFFER + HOUR, True, id="asleep at the picked moment"),
    pytest.param(OFFER - HOUR, OFFER + 4 * MINUTE, False, id="awake just in time"),
    pytest.param(OFFER - 5 * MINUTE, OFFER + 6 * MINUTE, False, id="a short gap is no absence"),
    pytest.param(OFFER + MINUTE, OFFER + HOUR, False, id="away only later: it is due"),
    pytest.param(None, OFFER + HOUR, False, id="no sign of life is remembered"),
]


@pytest.mark.parametrize(("passed_at", "now", "away"), MISSED)
def test_a_moment_that_was_slept_through_is_missed(
    passed_at: datetime | None, now: datetime, away: bool
) -> None:
    """P5.2: nobody finds the machine restarting in the morning because of a moment picked for the night."""
    assert missed(OFFER, passed_at, now, LIMITS) is away


BACK = [
    pytest.param(DEADLINE - HOUR, DEADLINE - MINUTE, False, id="before the deadline nobody is late"),
    pytest.param(DEADLINE - 5 * MINUTE, DEADLINE, False, id="seen minutes before the deadline: it was there"),
    pytest.param(DEADLINE - HOUR, DEADLINE + 3 * HOUR, True, id="silent over the deadline: it was away"),
    pytest.param(DEADLINE + HOUR, DEADLINE + 9 * HOUR, False, id="away later: it was there at the deadline"),
    pytest.param(None, DEADLINE, True, id="never seen before"),
]


@pytest.mark.parametrize(("passed_at", "now", "away"), BACK)
def test_coming_back(passed_at: datetime | None, now: datetime, away: bool) -> None:
    """A5."""
    assert came_back(ORDER, OFFER, passed_at, now, LIMITS) is away


def test_an_order_first_heard_of_after_its_deadline_counts_as_coming_back() -> None:
    """A5: nobody at this machine could have seen it before."""
    now = DEADLINE + HOUR
    assert came_back(ORDER, now, now - MINUTE, now, LIMITS)


def everything() -> Iterator[Facts]:
    """Every combination of facts."""
    values = [tuple(Status) if field == "status" else (False, True) for field in Facts._fields]
    return (Facts(*combination) for combination in product(*values))


def applies(rule: Rule[Step], facts: Facts) -> bool:
    """Read a row the plain way."""
    return all(
        getattr(facts, fact) in (wanted if isinstance(wanted, frozenset) else {wanted})
        for fact, wanted in rule.when.items()
    )


def first_row(facts: Facts) -> Rule[Step]:
    """Find the row that wins."""
    return next(rule for rule in RULES if applies(rule, facts))
