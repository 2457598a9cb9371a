"""The commands of the person at the machine: `ask` in a terminal, `helper` for the session."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from forestall.agent import anew, texts
from forestall.agent import person_texts as words
from forestall.agent.conversation import Answer, Look, QuestionView, look, tell
from forestall.agent.debian import printable
from forestall.agent.faces import terminal
from forestall.agent.options import Json, Root, StateDir, directory_of
from forestall.clock import utc_now
from forestall.domain.asking import Choice
from forestall.domain.errors import AgentError, InputError


def ask(
    now: Annotated[bool, typer.Option("--now", help="Go ahead now.")] = False,
    later: Annotated[bool, typer.Option("--later", help="Be asked again another day.")] = False,
    at: Annotated[str, typer.Option(help="Pick a moment: YYYY-MM-DD HH:MM, in this machine's zone.")] = "",
    root: Root = Path("/"),
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Say what is asked of the person at this machine, and take an answer."""
    directory, tongue = directory_of(root, state), texts.language()
    view = look(directory, Look(tongue, utc_now())).question
    answer = _given(view, now=now, later=later, at=at)
    if answer is None and not as_json:
        typer.echo("\n".join(terminal.lines(view, tongue)))
        if view is not None and sys.stdin.isatty():
            answer = terminal.ask(view, tongue, input)
    if answer is None:
        if as_json:
            typer.echo(msgspec.json.encode({"question": view}).decode())
        return
    verdict = tell(directory, answer)
    said = words.heard(verdict, answer, tongue)
    typer.echo(msgspec.json.encode(verdict).decode() if as_json else said)
    if not verdict.taken:
        raise typer.Exit(1)


def helper(root: Root = Path("/"), state: StateDir = None, as_json: Json = False) -> None:
    """Ask the person of this session: by notifications and a page. Start it with the session, as that person."""
    from forestall.agent.helper import Helper

    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not runtime:
        raise AgentError("no XDG_RUNTIME_DIR: start the helper in a person's session")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    asks = Helper(
        directory_of(root, state),
        Path(runtime),
        texts.language(),
        lambda text: typer.echo(_problem(text, as_json=as_json), err=True),
    )
    if asks.serve(stop):
        anew.start()


def _problem(text: str, *, as_json: bool) -> str:
    return msgspec.json.encode({"problem": text}).decode() if as_json else printable(text)


def _given(view: QuestionView | None, *, now: bool, later: bool, at: str) -> Answer | None:
    if now + later + bool(at) > 1:
        raise InputError("one of --now, --later and --at, not several")
    if not (now or later or at):
        return None
    if view is None:
        raise AgentError("nothing is asked at this machine just now")
    if at:
        return Answer(view.id, Choice.AT, terminal.moment(at))
    return Answer(view.id, Choice.NOW if now else Choice.LATER)
