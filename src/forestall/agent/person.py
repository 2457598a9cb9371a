"""Takes what the person said into the state; a moment that was slept through is asked for anew (P5.2)."""

from forestall.agent.inbox import Inbox, Kept
from forestall.agent.memory import Memory
from forestall.domain.asking import Choice, Topic
from forestall.domain.order import missed


def hear(memory: Memory) -> Topic | None:
    """Begin a pass; returns what the person wants now, hold or not."""
    _come_back(memory)
    inbox = Inbox(memory.agent.directory)
    answer = inbox.answer()
    if answer is None:
        return None
    _take(memory, answer)
    memory.save()  # before it is forgotten: an answer that was taken outlives a power cut
    inbox.taken(answer)
    return answer.topic if answer.choice is Choice.NOW else None


def _come_back(memory: Memory) -> None:
    person, now, limits = memory.state.person, memory.now(), memory.agent.limits
    passed_at = memory.state.passed_at
    if passed_at is None or now - passed_at <= limits.absence:
        return
    person.back_at = now
    for held in memory.state.held.values():
        if held.picked_at is not None and missed(held.picked_at, passed_at, now, limits):
            held.picked_at = None
            memory.note("the picked moment was slept through", held)
    if person.restart_picked_at is not None and missed(person.restart_picked_at, passed_at, now, limits):
        person.restart_picked_at = None
        memory.note("the moment picked for the restart was slept through")


def _take(memory: Memory, answer: Kept) -> None:
    """Put an answer where the tables see it; they know themselves what comes too late."""
    at = f" {answer.at:%Y-%m-%d %H:%M %Z}" if answer.at is not None else ""
    about = ", ".join(answer.campaigns)
    memory.note(
        f"the person answered about the {answer.topic}",
        detail=f"user {answer.user}: {answer.choice}{at}; {about}",
    )
    if answer.topic is Topic.RESTART:
        memory.state.person.restart_picked_at = answer.at
        return
    for campaign in answer.campaigns:
        if campaign in memory.state.held:
            memory.state.held[campaign].picked_at = answer.at
