"""What the person is asked, when, and what may be answered: one question, once a day, never at a bad time."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.asking import (
    Choice,
    Manners,
    Question,
    Restarting,
    Silence,
    Subject,
    Topic,
    Unheard,
    answered,
    first,
    install_question,
    proposals,
    restart_question,
    silence,
)
from forestall.domain.evidence import Status
from forestall.domain.order import CampaignId, Hold, Limits, Order, Restart, Standing, Verb, next_step
from forestall.domain.product import ProductName
from forestall.domain.restart import Moment, Pending, due_of, next_restart, window_of

JST = timezone(timedelta(hours=9))
DEADLINE = datetime(2026, 12, 2, 18, 0, tzinfo=JST)
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=JST)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LIMITS, MANNERS = Limits(), Manners()
ORDER = Order(
    campaign=CampaignId("c-1"),
    revision=1,
    verb=Verb.UPGRADE,
    product=ProductName.DEBIAN,
    release="bookworm",
    source="openssl",
    version="3.0.22-1~deb12u2",
    offered_at=NOON - HOUR,
    force_at=DEADLINE,
    expires_at=DEADLINE + 20 * HOUR,
    level="critical",
    texts={},
    restart=Restart.DEADLINE,
)
QUESTION = Question(Topic.INSTALL, (CampaignId("c-1"),), DEADLINE)
LAST = replace(QUESTION, counting_to=DEADLINE)


def subject(order: Order, now: datetime, **standing: object) -> Subject:
    """An order and what the table says of it."""
    stands = replace(Standing(Status.AFFECTED, offered=True, downloaded=True, unanswered=True), **standing)
    decision = next_step(order, stands, now, LIMITS)
    return Subject(order, stands.status, decision.step, decision.until, stands.picked_at)


def test_all_that_is_open_is_one_question_until_the_earliest_deadline() -> None:
    """P5.2: one interruption for all of it."""
    sooner = replace(ORDER, campaign=CampaignId("c-2"), force_at=DEADLINE - 24 * HOUR)
    asked = install_question([subject(ORDER, NOON), subject(sooner, NOON)], NOON)
    assert asked == Question(Topic.INSTALL, (CampaignId("c-1"), CampaignId("c-2")), DEADLINE - 24 * HOUR)
    assert asked.choices == (Choice.NOW, Choice.AT, Choice.LATER)


SILENT = [
    pytest.param({}, {"status": Status.FIXED}, NOON, id="fixed"),
    pytest.param({}, {"status": Status.PENDING_RESTART}, NOON, id="installed already"),
    pytest.param({}, {}, NOON - 2 * HOUR, id="before the offer"),
    pytest.param({"verb": Verb.RECALL}, {}, NOON, id="recalled"),
    pytest.param({"expires_at": NOON}, {}, NOON, id="the order's day is over"),
    pytest.param(
        {}, {"failed_at": DEADLINE}, DEADLINE + HOUR, id="forced in vain: not the person's to decide"
    ),
]


@pytest.mark.parametrize(("order", "standing", "now"), SILENT)
def test_where_a_person_can_decide_nothing_nothing_is_asked(
    order: dict[str, object], standing: dict[str, object], now: datetime
) -> None:
    assert install_question([subject(replace(ORDER, **order), now, **standing)], now) is None


def test_the_last_minutes_are_about_what_they_count_down_alone() -> None:
    """P5.4: and one can only go ahead."""
    now = DEADLINE - 10 * MINUTE
    later = replace(ORDER, campaign=CampaignId("c-2"), force_at=DEADLINE + 24 * HOUR)
    asked = install_question([subject(later, now), subject(ORDER, now)], now)
    assert asked == Question(Topic.INSTALL, (CampaignId("c-1"),), DEADLINE, counting_to=DEADLINE)
    assert asked.choices == (Choice.NOW,)


def test_who_comes_back_after_the_deadline_is_counted_down_from_the_return() -> None:
    """A5."""
    now = DEADLINE + HOUR
    asked = install_question([subject(ORDER, now, returned_at=now)], now)
    assert asked is not None
    assert (asked.counting_to, asked.choices) == (now + 30 * MINUTE, (Choice.NOW,))


def restart(now: datetime, moment: Moment) -> Question | None:
    pending = [Pending(ORDER, NOON)]
    window = window_of(due_of(pending, moment), moment.back_at, LIMITS)
    decision = next_restart(pending, moment, now, LIMITS)
    latest_at = window and window.latest_at
    return restart_question(
        [ORDER.campaign], Restarting(decision.step, decision.until, latest_at, moment.picked_at)
    )


def test_a_restart_is_asked_for_counted_down_to_and_changed_until_the_last_countdown() -> None:
    """A6."""
    free = restart(NOON, Moment())
    assert free == Question(Topic.RESTART, (CampaignId("c-1"),), DEADLINE)
    picked = restart(NOON + 57 * MINUTE, Moment(picked_at=NOON + HOUR))
    assert picked is not None
    assert (picked.counting_to, picked.latest_at) == (NOON + HOUR, DEADLINE)
    assert Choice.AT in picked.choices
    last = restart(DEADLINE - MINUTE, Moment())
    assert last is not None
    assert (last.counting_to, last.choices) == (DEADLINE, (Choice.NOW,))
    assert restart(DEADLINE, Moment(asked_now=True)) is None


def test_what_counts_down_is_asked_first() -> None:
    last = replace(QUESTION, topic=Topic.RESTART, counting_to=DEADLINE)
    assert first([QUESTION, last]) == last
    assert first([None, QUESTION, replace(QUESTION, topic=Topic.RESTART)]) == QUESTION
    assert first([None, None]) is None


ANSWERS = [
    pytest.param(QUESTION, Choice.NOW, None, NOON, id="now is now"),
    pytest.param(QUESTION, Choice.LATER, None, None, id="later picks nothing"),
    pytest.param(QUESTION, Choice.AT, DEADLINE, DEADLINE, id="the deadline itself is the latest moment"),
    pytest.param(QUESTION, Choice.AT, DEADLINE + MINUTE, Unheard.TOO_LATE, id="not after the deadline"),
    pytest.param(QUESTION, Choice.AT, NOON, Unheard.ALREADY_PAST, id="not in the past"),
    pytest.param(QUESTION, Choice.AT, None, Unheard.ALREADY_PAST, id="a moment without a moment"),
    pytest.param(LAST, Choice.LATER, None, Unheard.NO_CHOICE, id="a countdown is not put off"),
    pytest.param(LAST, Choice.AT, NOON + HOUR, Unheard.NO_CHOICE, id="nor moved"),
    pytest.param(LAST, Choice.NOW, None, NOON, id="but one may go ahead"),
    pytest.param(None, Choice.NOW, None, Unheard.NOTHING_ASKED, id="nobody asked"),
]


@pytest.mark.parametrize(("question", "choice", "at", "meaning"), ANSWERS)
def test_what_answers_mean(
    question: Question | None, choice: Choice, at: datetime | None, meaning: datetime | Unheard | None
) -> None:
    """P5.2."""
    assert answered(question, choice, at, NOON) == meaning


MANNERED = [
    pytest.param(QUESTION, None, NOON, set(), NOON, Silence.JUST_ARRIVED, id="not right after the login"),
    pytest.param(QUESTION, None, NOON - HOUR, set(), NOON, None, id="in the middle of the day"),
    pytest.param(QUESTION, NOON - HOUR, NOON - HOUR, set(), NOON, Silence.TOLD_TODAY, id="once a day"),
    pytest.param(
        QUESTION, NOON - 17 * HOUR, NOON - 17 * HOUR, set(), NOON.replace(hour=9), Silence.TOLD_TODAY,
        id="nor in the evening and the morning after",
    ),
    pytest.param(QUESTION, NOON - 24 * HOUR, NOON - HOUR, set(), NOON, None, id="again a day later"),
    pytest.param(
        QUESTION, None, NOON, set(), NOON.replace(hour=20), Silence.NIGHT, id="not in the evening from eight on"
    ),
    pytest.param(QUESTION, None, NOON, set(), NOON.replace(hour=3), Silence.NIGHT, id="not at night"),
    pytest.param(
        QUESTION, None, NOON - HOUR, {Hold.PRESENTATION}, NOON, Silence.IN_USE, id="not in the middle of a talk"
    ),
    pytest.param(
        replace(QUESTION, picked_at=DEADLINE), None, NOON - HOUR, set(), NOON, Silence.ANSWERED,
        id="not whoever answered",
    ),
    pytest.param(LAST, None, NOON, {Hold.PRESENTATION}, NOON.replace(hour=3), None, id="a countdown always"),
    pytest.param(LAST, NOON, NOON, set(), NOON, Silence.TOLD_TODAY, id="but once"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "spoken_at", "here_since", "holds", "now", "why"), MANNERED)
def test_manners(
    question: Question,
    spoken_at: datetime | None,
    here_since: datetime,
    holds: set[Hold],
    now: datetime,
    why: Silence | None,
) -> None:
    assert silence(question, spoken_at, here_since, holds, now, MANNERS) == why


@given(
    st.lists(st.integers(0, 30 * 24 * 60), max_size=60).map(sorted),
    st.sets(st.sampled_from(Hold)),
)
def test_nobody_is_nagged_twice_a_day_nor_at_night(minutes: list[int], holds: set[Hold]) -> None:
    """However often the helper looks, and whatever it says."""
    spoken: list[datetime] = []
    for minute in minutes:
        now = NOON + minute * MINUTE
        if silence(QUESTION, spoken[-1] if spoken else None, NOON - HOUR, holds, now, MANNERS) is None:
            spoken.append(now)
    assert all(8 <= at.hour < 20 for at in spoken)
    assert all(b - a >= 24 * HOUR for a, b in itertools.pairwise(spoken))


def test_proposals_are_times_a_person_would_pick() -> None:
    proposed = list(proposals(QUESTION, NOON, 4))
    assert [f"{each:%d %H:%M}" for each in proposed] == ["25 12:30", "25 19:00", "26 08:30", "26 12:30"]


@given(st.integers(0, 20 * 24 * 60), st.integers(0, 20 * 24 * 60), st.integers(0, 40))
def test_every_proposal_can_be_picked(start: int, end: int, most: int) -> None:
    now = NOON.astimezone(UTC) + start * MINUTE
    question = replace(QUESTION, latest_at=NOON + end * MINUTE)
    proposed = list(proposals(question, now.astimezone(JST), most))
    assert len(proposed) <= most
    assert proposed == sorted(set(proposed))
    assert all(answered(question, Choice.AT, each, now) == each for each in proposed)
