"""How the person at the machine is asked: one question, once a day at most, never at a bad time (P5.2, A6)."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from forestall.domain.evidence import Status
from forestall.domain.order import CampaignId, Hold, Order, Step


class Topic(StrEnum):
    """What a person is asked about."""

    INSTALL = "install"
    RESTART = "restart"


class Choice(StrEnum):
    """What a person may answer."""

    NOW = "now"
    AT = "at"
    LATER = "later"


class Unheard(StrEnum):
    """Why an answer is not taken."""

    NOTHING_ASKED = "nothing-asked"
    """The question is another one by now, or none."""
    NO_CHOICE = "no-choice"
    """In a countdown one can only go ahead."""
    TOO_LATE = "too-late"
    """After the latest moment."""
    ALREADY_PAST = "already-past"


class Silence(StrEnum):
    """Why nobody is spoken to just now."""

    ANSWERED = "answered"
    TOLD_TODAY = "told-today"
    NIGHT = "night"
    IN_USE = "in-use"
    JUST_ARRIVED = "just-arrived"


@dataclass(frozen=True, slots=True)
class Question:
    """The one question about all that is open: the machine has one person, and one interruption for all of it."""

    topic: Topic
    campaigns: tuple[CampaignId, ...]
    latest_at: datetime
    """It happens by itself then, if not before; no moment after this can be picked."""
    counting_to: datetime | None = None
    """It happens in minutes, at this moment."""
    picked_at: datetime | None = None
    """What was answered; it may be answered anew."""
    units: tuple[str, ...] = ()
    """The services that a restart is of; none where it is the machine's."""

    @property
    def choices(self) -> tuple[Choice, ...]:
        """List what may be answered: in the last countdown one can only go ahead."""
        last = self.counting_to is not None and self.counting_to >= self.latest_at
        return (Choice.NOW,) if last else (Choice.NOW, Choice.AT, Choice.LATER)


@dataclass(frozen=True, slots=True)
class Subject:
    """One order, how the machine stands on it, and what was decided about it."""

    order: Order
    status: Status
    step: Step
    until: datetime | None
    picked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Restarting:
    """What was decided about the one restart."""

    step: Step
    until: datetime | None
    latest_at: datetime | None
    picked_at: datetime | None = None
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manners:
    """When a person may be spoken to; a countdown may always."""

    between: timedelta = timedelta(days=1)
    day: tuple[time, time] = (time(8), time(20))
    settle_in: timedelta = timedelta(minutes=10)
    """Nothing is asked this soon after somebody came."""


_ASKED = frozenset({Step.DOWNLOAD, Step.WAIT, Step.COUNT_DOWN})
"""What a person may say something to: fetched or not, it is offered."""
_DAILY = (time(8, 30), time(12, 30), time(19))


def install_question(subjects: Sequence[Subject], now: datetime) -> Question | None:
    """Make one question of all orders that wait for their person."""
    asked = [each for each in subjects if _waits_for_person(each, now)]
    if not asked:
        return None
    counting = [each for each in asked if each.step is Step.COUNT_DOWN]
    picked = [each.picked_at for each in asked if each.picked_at is not None]
    latest_at = min(_latest_at(each) for each in counting or asked)
    return Question(
        topic=Topic.INSTALL,
        campaigns=tuple(each.order.campaign for each in counting or asked),
        latest_at=latest_at,
        counting_to=latest_at if counting else None,
        picked_at=max(picked) if len(picked) == len(asked) else None,
    )


def restart_question(pending: Sequence[CampaignId], restart: Restarting) -> Question | None:
    """Make the question about the one restart, where a person can say something to it."""
    if restart.latest_at is None or restart.step not in _ASKED:
        return None
    counting_to = restart.until if restart.step is Step.COUNT_DOWN else None
    return Question(
        Topic.RESTART, tuple(pending), restart.latest_at, counting_to, restart.picked_at, restart.units
    )


def first(questions: Sequence[Question | None]) -> Question | None:
    """Choose the one that is asked: what counts down before what does not, else in the order given."""
    found = [each for each in questions if each is not None]
    return min(found, key=lambda each: each.counting_to is None, default=None)


def answered(
    question: Question | None, choice: Choice, at: datetime | None, now: datetime
) -> datetime | Unheard | None:
    """Say what an answer means: the moment that was picked, none for later, or why it cannot be taken."""
    if question is None:
        return Unheard.NOTHING_ASKED
    if choice not in question.choices:
        return Unheard.NO_CHOICE
    match choice:
        case Choice.NOW:
            return now
        case Choice.LATER:
            return None
        case Choice.AT if at is not None and now < at <= question.latest_at:
            return at
        case Choice.AT:
            return Unheard.TOO_LATE if at is not None and at > now else Unheard.ALREADY_PAST


def silence(
    question: Question,
    spoken_at: datetime | None,
    here_since: datetime,
    holds: Collection[Hold],
    now: datetime,
    manners: Manners,
) -> Silence | None:
    """Say why the person is not to be spoken to now; None to speak. `now` is in the machine's own zone.

    A countdown is said once, whatever the hour: what comes by itself must not surprise. `spoken_at` is when this very
    countdown was told, or else when anything was.
    """
    if question.counting_to is not None:
        return Silence.TOLD_TODAY if spoken_at is not None else None
    begins, ends = manners.day
    if question.picked_at is not None:
        return Silence.ANSWERED
    if spoken_at is not None and now < spoken_at + manners.between:
        return Silence.TOLD_TODAY
    if not begins <= now.time() < ends:
        return Silence.NIGHT
    if now < here_since + manners.settle_in:
        return Silence.JUST_ARRIVED
    return Silence.IN_USE if holds else None


def proposals(question: Question, now: datetime, most: int) -> Iterator[datetime]:
    """Propose moments a person would pick: morning, noon, evening, until the latest. `now` is in the machine's zone."""
    day = now.date()
    soonest = now + timedelta(minutes=15)
    while most and datetime.combine(day, time(), now.tzinfo) <= question.latest_at:
        for hour in _DAILY:
            moment = datetime.combine(day, hour, now.tzinfo)
            if soonest <= moment <= question.latest_at and most:
                most -= 1
                yield moment
        day += timedelta(days=1)


def _waits_for_person(subject: Subject, now: datetime) -> bool:
    order = subject.order
    if subject.status not in {Status.AFFECTED, Status.UNKNOWN} or subject.step not in _ASKED:
        return False
    return order.offered_at <= now < order.expires_at and now < _latest_at(subject)


def _latest_at(subject: Subject) -> datetime:
    if subject.step is Step.COUNT_DOWN and subject.until is not None:
        return max(subject.until, subject.order.force_at)
    return subject.order.force_at
