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
from forestall.domain.restart import RULES, Facts, Moment, Pending, due_of, key_of, next_restart, window_of

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
BY_SERVICES = replace(EARLY, units=frozenset({"web.service"}), machine=False)
"""All that runs its old code are services that may be started anew."""
SERVICES_ONLY = replace(BY_SERVICES, order=replace(ORDER, restart=Restart.SERVICES))
MIXED = replace(BY_SERVICES, machine=True)
"""A program runs its old code, too, that only the machine's restart ends."""
ASKED = {"asked_now": True}
RENEWED = {**ASKED, "renewed_for": {key_of(ORDER)}}

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
    pytest.param("renew-services", [BY_SERVICES], ASKED, DEADLINE, id="services instead of the machine"),
    pytest.param("renew-services", [SERVICES_ONLY], ASKED, DEADLINE, id="so where the order allows services alone"),
    pytest.param(
        "renew-services",
        [SERVICES_ONLY],
        {**ASKED, "picked_at": DEADLINE - HOUR},
        DEADLINE - HOUR,
        id="at the picked moment, too",
    ),
    pytest.param("ask-first", [SERVICES_ONLY], {}, DEADLINE, id="the server is asked before services, too"),
    pytest.param("restart-soon", [SERVICES_ONLY], ASKED, DEADLINE - MINUTE, id="services are counted down to"),
    pytest.param("restart-later", [SERVICES_ONLY], ASKED, DEADLINE - 5 * HOUR, id="and left in peace until then"),
    pytest.param(
        "people-restart",
        [replace(BY_SERVICES, order=replace(ORDER, restart=Restart.PERSON))],
        ASKED,
        DEADLINE,
        id="not even services where the order leaves it to people",
    ),
    pytest.param("people-restart", [SERVICES_ONLY], RENEWED, DEADLINE, id="services once: then a person"),
    pytest.param("restart", [BY_SERVICES], RENEWED, DEADLINE, id="services in vain: then the machine"),
    pytest.param("restart", [MIXED], ASKED, DEADLINE, id="services alone would not do"),
    pytest.param(
        "renew-services",
        [replace(MIXED, order=SERVICES_ONLY.order)],
        ASKED,
        DEADLINE,
        id="the machine may not be restarted: then services at least",
    ),
    pytest.param(
        "restart",
        [SERVICES_ONLY, replace(EARLY, order=replace(ORDER, campaign=CampaignId("c-2")))],
        ASKED,
        DEADLINE,
        id="the machine is restarted anyway: that is enough for the services",
    ),
    pytest.param(
        "renew-services",
        [SERVICES_ONLY, replace(EARLY, order=replace(ORDER, campaign=CampaignId("c-2")))],
        {**ASKED, "restarted_for": {"c-2 3.0.22-1~deb12u2"}},
        DEADLINE,
        id="a machine restarted in vain for another does not keep services from it",
    ),
    pytest.param(
        "people-restart",
        [replace(EARLY, order=replace(ORDER, restart=Restart.SERVICES))],
        ASKED,
        DEADLINE,
        id="nothing but the machine would do, and it may not be restarted",
    ),
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
        [replace(EARLY, order=replace(ORDER, verb=Verb.UNDO))],
        {**ASKED, "restarted_for": {key_of(ORDER)}},
        DEADLINE,
        id="the way back is another one",
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
        if (row := first_row(facts)) in {"restart", "renew-services"}:
            assert all((facts.pending, facts.allowed, facts.come, facts.asked_now))
            assert not facts.in_vain
            assert not facts.under_way
            assert facts.services is (row == "renew-services")


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
UNITS = st.frozensets(st.sampled_from(["web.service", "db.service"]))
PENDING = st.lists(
    st.builds(Pending, ORDERS, INSTANTS, st.none() | INSTANTS, UNITS, st.booleans()), max_size=4
)
KEYS = st.frozensets(st.sampled_from([key_of(replace(ORDER, campaign=f"c-{n}")) for n in range(5)]))
MOMENTS = st.builds(
    Moment,
    back_at=st.none() | INSTANTS,
    picked_at=st.none() | INSTANTS,
    holds=st.frozensets(st.sampled_from(Hold)),
    restarted_for=KEYS,
    renewed_for=KEYS,
    asked_now=st.booleans(),
    under_way=st.booleans(),
)


@given(PENDING, MOMENTS, INSTANTS)
def test_nobody_is_restarted_by_force_without_a_countdown_and_before_every_deadline(
    pending: list[Pending], moment: Moment, now: datetime
) -> None:
    """A6: unless the person picked the moment."""
    unpicked = replace(moment, picked_at=None)
    step = next_restart(pending, unpicked, now, LIMITS).step
    if step not in {Step.RESTART, Step.RESTART_SERVICES}:
        return
    due = due_of(pending, moment)
    allow = {Restart.DEADLINE} if step is Step.RESTART else {Restart.DEADLINE, Restart.SERVICES}
    assert {p.order.restart for p in due.pending} <= allow
    binding = [p for p in due.pending if now >= p.order.force_at]
    assert any(now - p.since >= (5 * MINUTE if p.order.imminent else 30 * MINUTE) for p in binding)
    assert moment.back_at is None or now - moment.back_at >= 5 * MINUTE
    window = window_of(due, moment.back_at, LIMITS)
    assert window is not None
    before = max(window.opens_at, window.latest_at - MINUTE)
    assert next_restart(pending, unpicked, before, LIMITS).step is Step.COUNT_DOWN


@given(PENDING, MOMENTS)
def test_services_are_started_anew_once_for_the_same_and_only_those_that_are_needed(
    pending: list[Pending], moment: Moment
) -> None:
    """A6."""
    due = due_of(pending, moment)
    assert bool(due.units) is due.services
    if due.services:
        assert all(key_of(p.order) not in moment.renewed_for and p.units for p in due.pending)
        done = replace(moment, renewed_for=moment.renewed_for | {key_of(p.order) for p in due.pending})
        assert not due_of(pending, done).services


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
