"""Takes what the person said into the state; a moment that was slept through is asked for anew (P5.2)."""

from forestall.agent import state
from forestall.agent.conversation import LONGEST_COMPLAINT, Broke, Volunteering
from forestall.agent.debian import printable
from forestall.agent.inbox import Inbox, Kept, KeptWord
from forestall.agent.memory import Agent, Memory
from forestall.agent.state import Held, State
from forestall.domain.asking import Choice, Topic
from forestall.domain.errors import InputError
from forestall.domain.order import missed

WORDLESS = "it broke something (no words)"
"""What somebody says who presses the button and writes nothing."""


def hear(memory: Memory) -> Topic | None:
    """Begin a pass; returns what the person wants now, hold or not."""
    _come_back(memory)
    inbox = Inbox(memory.agent.directory)
    if (kept := inbox.word()) is not None:
        _take_word(memory, kept)
        memory.save()  # before it is forgotten, as below
        inbox.word_taken()
    answer = inbox.answer()
    if answer is None:
        return None
    _take(memory, answer)
    memory.save()  # before it is forgotten: an answer that was taken outlives a power cut
    inbox.taken(answer)
    return answer.topic if answer.choice is Choice.NOW else None


def volunteer(agent: Agent, *, joins: bool) -> None:
    """Join those who test updates before others do, or leave them; the next check-in says so (P4.1)."""
    with state.alone(agent.directory):
        memory = Memory(agent)
        _part(memory, joins=joins)
        memory.save()


def complain(agent: Agent, campaign: str, broke: str) -> None:
    """Keep what the person says that an update broke, until a check-in has told it (P4.2).

    Raises:
        InputError: nothing is said, or this machine has no such order.
    """
    said = _one_line(broke)
    if not said:
        raise InputError('say what it broke: forestall-agent broke CAMPAIGN "what it broke"')
    with state.alone(agent.directory):
        memory = Memory(agent)
        held = memory.state.held.get(campaign)
        if held is None:
            name = printable(campaign, 80)
            raise InputError(f"no order of “{name}” is here; forestall-agent status lists them")
        _broke(memory, held, said)
        memory.save()


def installed(remembered: State) -> list[Held]:
    """List what came onto this machine, the newest first."""
    held = [each for each in remembered.held.values() if each.installed_at is not None]
    return sorted(held, key=lambda each: each.installed_at or each.held_since, reverse=True)


def _take_word(memory: Memory, kept: KeptWord) -> None:
    match kept.word:
        case Volunteering(joins):
            _part(memory, joins=joins, user=f"user {kept.user}")
        case Broke(campaign, what):
            held = memory.state.held.get(campaign)
            if held is not None:
                _broke(memory, held, _one_line(what) or WORDLESS, user=f"user {kept.user}: ")


def _part(memory: Memory, *, joins: bool, user: str = "") -> None:
    memory.state.person.volunteers = joins
    event = "the person joined the volunteers" if joins else "the person left the volunteers"
    memory.note(event, detail=user)


def _broke(memory: Memory, held: Held, said: str, user: str = "") -> None:
    held.broke = said
    memory.note("the person says that it broke something", held, detail=f"{user}{said}")


def _one_line(said: str) -> str:
    return " ".join(printable(said, LONGEST_COMPLAINT).split())


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
