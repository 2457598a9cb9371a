"""The table of restarts: a case for every row, its order, and what no case may ever do (A6)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.order import CampaignId, Hold, Limits, Order, Restart, Step, Verb
from forestall.domain.product import ProductName
from forestall.domain.restart import RULES, Facts, Moment, Pending, key_of, next_restart, window_of

DEADLINE = datetime(2026, 12, 2, 8, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LIMITS = Limits()
ORDER = Order(
    campaign=CampaignId("c-1"),
    revision=1,
    verb=Verb.UPGRADE,
    product=ProductName.DEBIAN,
    release="bookworm",
    source="openssl",
    version="3.0.22-1~deb12u2",
    offered_at=DEADLINE - timedelta(days=8),
    force_at=DEADLINE,
    expires_at=DEADLINE + 20 * HOUR,
    level="critical",
    texts={},
    restart=Restart.DEADLINE,
)
EARLY = Pending(ORDER, DEADLINE - 24 * HOUR)
"""Installed a day before the deadline."""
FORCED = Pending(ORDER, DEADLINE + MINUTE)
BY_PEOPLE = replace(EARLY, order=replace(ORDER, restart=Restart.PERSON))
ASKED = {"asked_now": True}

CASES = [
    pytest.param("no-restart", [], {}, DEADLINE, id="nothing waits for a restart"),
    pytest.param(
        "people-restart", [BY_PEOPLE], ASKED, DEADLINE + HOUR, id="the order leaves it to people: never"
    ),
    pytest.param(
        "people-restart",
        [BY_PEOPLE],
        {**ASKED, "picked_at": DEADLINE},
        DEADLINE + HOUR,
        id="not even at a picked moment",
    ),
    pytest.param(
        "restarted-in-vain",
        [EARLY],
        {**ASKED, "restarted_for": {key_of(ORDER)}},
        DEADLINE + HOUR,
        id="never twice for the same",
    ),
    pytest.param("ask-first", [EARLY], {}, DEADLINE, id="the server is asked right before"),
    pytest.param(
        "ask-first", [EARLY], {"picked_at": DEADLINE - HOUR}, DEADLINE - HOUR, id="at a picked moment, too"
    ),
    pytest.param("restart", [EARLY], ASKED, DEADLINE, id="at the deadline"),
    pytest.param(
        "restarting", [EARLY], {**ASKED, "under_way": True}, DEADLINE, id="told to, and not yet done"
    ),
    pytest.param(
        "restart",
        [EARLY, BY_PEOPLE],
        ASKED,
        DEADLINE,
        id="one order that allows it is enough: all others gain by it",
    ),
    pytest.param(
        "restart",
        [EARLY, replace(EARLY, order=replace(ORDER, version="4"))],
        {**ASKED, "restarted_for": {key_of(ORDER)}},
        DEADLINE,
        id="another one came since",
    ),
    pytest.param(
        "restart",
        [EARLY],
        {**ASKED, "picked_at": DEADLINE - 5 * HOUR},
        DEADLINE - 5 * HOUR,
        id="at the picked moment",
    ),
    pytest.param(
        "restart", [EARLY], {**ASKED, "holds": set(Hold)}, DEADLINE, id="nothing holds past the latest moment"
    ),
    pytest.param(
        "restart",
        [FORCED],
        {**ASKED, "picked_at": DEADLINE + 2 * MINUTE},
        DEADLINE + 2 * MINUTE,
        id="nobody has to wait for the end of the countdown",
    ),
    pytest.param("restart", [FORCED], ASKED, DEADLINE + 31 * MINUTE, id="after the countdown"),
    pytest.param("restart-soon", [EARLY], ASKED, DEADLINE - 30 * MINUTE, id="half an hour before the deadline"),
    pytest.param("restart-soon", [FORCED], ASKED, DEADLINE + 30 * MINUTE, id="forced: counted down from then on"),
    pytest.param(
        "restart-soon",
        [EARLY],
        {"picked_at": DEADLINE - 5 * HOUR},
        DEADLINE - 5 * HOUR - 5 * MINUTE,
        id="five minutes before the picked moment the person hears of it again",
    ),
    pytest.param(
        "restart-soon",
        [EARLY],
        {**ASKED, "picked_at": DEADLINE - 5 * HOUR, "holds": {Hold.PRESENTATION}},
        DEADLINE - MINUTE,
        id="even one that is held hears of it before the end",
    ),
    pytest.param(
        "restart-soon",
        [EARLY],
        {**ASKED, "back_at": DEADLINE + HOUR},
        DEADLINE + HOUR + 4 * MINUTE,
        id="whoever opens the lid after the deadline has five minutes",
    ),
    pytest.param(
        "restart-soon",
        [replace(EARLY, returned_at=DEADLINE + HOUR)],
        {**ASKED, "back_at": DEADLINE + HOUR},
        DEADLINE + HOUR + 29 * MINUTE,
        id="and half an hour when it was away at the deadline itself",
    ),
    pytest.param(
        "restart-soon",
        [replace(FORCED, order=replace(ORDER, imminent=True))],
        ASKED,
        DEADLINE + 5 * MINUTE,
        id="an imminent threat leaves five minutes to save one's work",
    ),
    pytest.param(
        "restart-in-use",
        [EARLY],
        {**ASKED, "picked_at": DEADLINE - 5 * HOUR, "holds": {Hold.FULL_SCREEN}},
        DEADLINE - 4 * HOUR,
        id="the picked moment comes in the middle of something",
    ),
    pytest.param("restart-later", [EARLY], ASKED, DEADLINE - 31 * MINUTE, id="free to pick until the deadline"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "pending", "moment", "now"), CASES)
def test_the_table_decides(
    rule: str, pending: list[Pending], moment: dict[str, object], now: datetime
) -> None:
    """A6, A7, P5.2."""
    assert next_restart(pending, replace(Moment(), **moment), now, LIMITS).rule.name == rule


def test_every_row_has_a_case_and_every_fact_decides_something() -> None:
    assert {case.values[0] for case in CASES} == {rule.name for rule in RULES}
    assert {fact for rule in RULES for fact in rule.when} == set(Facts._fields)
    assert {first_row(facts) for facts in everything()} == {rule.name for rule in RULES}


def test_no_case_at_all_restarts_what_must_not_be_restarted() -> None:
    """A6, A7, over every combination of facts."""
    for facts in everything():
        if first_row(facts) == "restart":
            assert all((facts.pending, facts.allowed, facts.come, facts.asked_now))
            assert not facts.in_vain
            assert not facts.under_way


INSTANTS = st.integers(-3 * 86_400, 3 * 86_400).map(lambda seconds: DEADLINE + timedelta(seconds=seconds))
ORDERS = st.builds(
    lambda n, at, restart, imminent: replace(
        ORDER, campaign=CampaignId(f"c-{n}"), force_at=at, restart=restart, imminent=imminent
    ),
    st.integers(1, 4),
    INSTANTS,
    st.sampled_from(Restart),
    st.booleans(),
)
PENDING = st.lists(st.builds(Pending, ORDERS, INSTANTS, st.none() | INSTANTS), max_size=4)
MOMENTS = st.builds(
    Moment,
    back_at=st.none() | INSTANTS,
    picked_at=st.none() | INSTANTS,
    holds=st.frozensets(st.sampled_from(Hold)),
    restarted_for=st.frozensets(
        st.sampled_from([key_of(replace(ORDER, campaign=f"c-{n}")) for n in range(5)])
    ),
    asked_now=st.booleans(),
    under_way=st.booleans(),
)


@given(PENDING, MOMENTS, INSTANTS)
def test_nobody_is_restarted_by_force_without_a_countdown_and_before_every_deadline(
    pending: list[Pending], moment: Moment, now: datetime
) -> None:
    """A6: unless the person picked the moment."""
    unpicked = replace(moment, picked_at=None)
    if next_restart(pending, unpicked, now, LIMITS).step is not Step.RESTART:
        return
    binding = [p for p in pending if p.order.restart is Restart.DEADLINE and now >= p.order.force_at]
    assert any(now - p.since >= (5 * MINUTE if p.order.imminent else 30 * MINUTE) for p in binding)
    assert moment.back_at is None or now - moment.back_at >= 5 * MINUTE
    window = window_of(pending, moment.back_at, LIMITS)
    assert window is not None
    before = max(window.opens_at, window.latest_at - MINUTE)
    assert next_restart(pending, unpicked, before, LIMITS).step is Step.COUNT_DOWN


@given(PENDING, MOMENTS, INSTANTS)
def test_what_waits_says_until_when_and_then_something_else_applies(
    pending: list[Pending], moment: Moment, now: datetime
) -> None:
    decision = next_restart(pending, moment, now, LIMITS)
    if decision.step in {Step.WAIT, Step.COUNT_DOWN}:
        assert decision.until is not None
        assert decision.until > now
        later = next_restart(pending, moment, decision.until, LIMITS)
        assert (later.rule.name, later.until) != (decision.rule.name, decision.until)


def everything() -> Iterator[Facts]:
    return (Facts(*combination) for combination in product((False, True), repeat=len(Facts._fields)))


def first_row(facts: Facts) -> str:
    """Read the table the plain way."""
    return next(
        rule.name
        for rule in RULES
        if all(getattr(facts, fact) is wanted for fact, wanted in rule.when.items())
    )
