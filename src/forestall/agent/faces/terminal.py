"""The conversation in a terminal: `forestall-agent ask`."""

import re
from collections.abc import Callable
from datetime import datetime

from forestall.agent import person_texts as words
from forestall.agent.conversation import Answer, QuestionView
from forestall.domain.asking import Choice
from forestall.domain.errors import InputError

_LETTERS = {"n": Choice.NOW, "l": Choice.LATER}


def lines(view: QuestionView | None, tongue: str) -> list[str]:
    """Draw a question."""
    if view is None:
        return [words.said(words.PAGE["nothing"], tongue)]
    drawn = [view.title, *view.sentences, ""]
    drawn += [f"  n  {view.choices[Choice.NOW]}"]
    if Choice.AT in view.choices:
        drawn += [f"  {n:<2} {words.moment(at, tongue)}" for n, at in enumerate(view.proposals, 1)]
        drawn += [f"  l  {view.choices[Choice.LATER]}"]
    return drawn


def ask(view: QuestionView, tongue: str, read: Callable[[str], str]) -> Answer | None:
    """Ask until an answer is understood; an empty line, or the end of the input, answers nothing."""
    prompt = words.said(words.PAGE["prompt"], tongue) + ": "
    while True:
        try:
            said = read(prompt).strip()
        except EOFError:
            return None
        if not said:
            return None
        try:
            return answer(view, said)
        except InputError:
            continue


def answer(view: QuestionView, said: str) -> Answer:
    """Understand what was typed: `n`, `l`, the number of a proposal, or a moment in the machine's own zone.

    Raises:
        InputError: it is none of these.
    """
    if said in _LETTERS:
        return Answer(view.id, _LETTERS[said])
    if said.isdecimal() and 1 <= int(said[:4]) <= len(view.proposals):
        return Answer(view.id, Choice.AT, view.proposals[int(said) - 1])
    return Answer(view.id, Choice.AT, moment(said))


def moment(said: str) -> datetime:
    """Read `YYYY-MM-DD HH:MM`, in the machine's own zone.

    Raises:
        InputError: it is no such moment.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", said):
        raise InputError(f"{said!r} is no moment: write YYYY-MM-DD HH:MM")
    try:
        return datetime.fromisoformat(said).astimezone()
    except (ValueError, OverflowError):
        raise InputError(f"there is no {said!r}: write YYYY-MM-DD HH:MM") from None
