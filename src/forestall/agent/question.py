"""What the person is asked just now: made of what the agent remembers, so that anybody may look."""

import hashlib
from datetime import datetime, timedelta

from forestall.agent import orders
from forestall.agent.conversation import QuestionView
from forestall.agent.person_texts import choice_words, question_words
from forestall.agent.state import Held, State
from forestall.domain.asking import (
    Question,
    Restarting,
    Subject,
    first,
    install_question,
    proposals,
    restart_question,
)
from forestall.domain.evidence import Status
from forestall.domain.order import CampaignId, Step

_MOST_PROPOSALS = 12


def server_now(remembered: State, clock_now: datetime) -> datetime:
    """Read the time as the server has it."""
    return clock_now + timedelta(seconds=remembered.skew_seconds)


def question_of(remembered: State, now: datetime) -> Question | None:
    """Find the one question; none where the person can decide nothing."""
    subjects = [_subject(held) for held in remembered.held.values() if held.offered_at is not None]
    person = remembered.person
    waiting = [CampaignId(campaign) for campaign, held in remembered.held.items() if held.awaits_machine]
    restart = None
    if waiting and person.restart_step:
        decided = Restarting(
            Step(person.restart_step),
            person.restart_until,
            person.restart_latest_at,
            person.restart_picked_at,
            tuple(person.restart_units),
        )
        restart = restart_question(waiting, decided)
    # Who must restart anyway is asked about that last: one restart for all that is due (A6).
    return first([install_question([each for each in subjects if each.step], now), restart])


def id_of(question: Question) -> str:
    """Name a question, so that an answer to an older one is known as such."""
    about = (question.topic, *question.campaigns, question.latest_at.isoformat(), str(question.counting_to))
    about += question.units
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:16]


def view_of(question: Question, remembered: State, now: datetime, tongue: str) -> QuestionView:
    """Put a question into words, for whoever draws it."""
    about = [
        remembered.held[campaign].order for campaign in question.campaigns if campaign in remembered.held
    ]
    here = now.astimezone()
    title, sentences = question_words(question, about, here, tongue)
    return QuestionView(
        id=id_of(question),
        topic=question.topic,
        title=title,
        sentences=sentences,
        choices={choice: choice_words(question, choice, tongue) for choice in question.choices},
        proposals=list(proposals(question, here, _MOST_PROPOSALS)),
        latest_at=question.latest_at,
        counting_to=question.counting_to,
        picked_at=question.picked_at,
    )


def _subject(held: Held) -> Subject:
    step = Step(held.step) if held.step else Step.REST
    return Subject(orders.order_of(held), Status(held.status), step, held.until, held.picked_at)
