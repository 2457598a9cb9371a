"""The command `forestall-agent`: for the service, for the person at the machine, for whoever enrols it."""

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from forestall.agent import anew, identity, person, person_texts, show, texts, tuf
from forestall.agent.ask import ask, helper
from forestall.agent.conversation import LONGEST_COMPLAINT, Broke, Verdict, Volunteering, Word, tell
from forestall.agent.debian import printable
from forestall.agent.enrolment import Invitation, join
from forestall.agent.loop import install_chosen, run_pass
from forestall.agent.memory import Agent
from forestall.agent.options import Json, Root, StateDir, directory_of
from forestall.agent.restarting import SHUTDOWN, TRY_RESTART
from forestall.agent.service import START_AGAIN, Ending, serve
from forestall.agent.services import SHOW
from forestall.agent.system import system_at
from forestall.agent.unit import unit
from forestall.clock import utc_now
from forestall.domain.errors import AgentError, ForestallError, InputError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Keeps this machine patched, as the server asks."
)
app.add_typer(tuf.app, name="tuf")
app.command()(ask)
app.command()(helper)
app.command()(unit)


class Part(StrEnum):
    """Whether a machine is among the volunteers."""

    JOIN = "join"
    LEAVE = "leave"


@app.command()
def enrol(  # noqa: PLR0917, PLR0913 - a command's options
    server: Annotated[str, typer.Option(help="Address of the server, https://host[:port].")],
    token: Annotated[
        str, typer.Option(help="One-time token (`forestall enroll token`).", envvar="FORESTALL_TOKEN")
    ],
    name: Annotated[str, typer.Option(help="Name of this machine [its host name].")] = "",
    fingerprint: Annotated[
        str, typer.Option(help="SHA-256 of the root to trust, as `forestall keys status` shows it.")
    ] = "",
    mirror: Annotated[str, typer.Option(help="Address of a mirror of the server's /trust.")] = "",
    root: Root = Path("/"),
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Put this machine under the server's management."""
    made, trusted = join(
        directory_of(root, state), Invitation(server, token, fingerprint, mirror), _host_name(name, root)
    )
    found: dict[str, object] = {"device": made.device, "server": server, "root": trusted}
    _print(as_json, found, f"enrolled as {made.device}; trusts root {trusted}")


@app.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="One pass, then stop.")] = False,
    root: Root = Path("/"),
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Work as the service: check in, download ahead, install at the deadline."""
    agent = _agent(root, state)
    if once:
        run_pass(agent, ask=True)
        _show(agent.directory, as_json=as_json)
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    match serve(agent, stop, lambda text: typer.echo(printable(text), err=True)):
        case Ending.OTHER_AGENT:
            raise typer.Exit(START_AGAIN)
        case Ending.OWN_CODE:
            typer.echo("its own code was replaced: it starts itself anew", err=True)
            anew.start()
        case Ending.STOPPED:
            pass


@app.command()
def status(root: Root = Path("/"), state: StateDir = None, as_json: Json = False) -> None:
    """Say what is open here, until when, and what happens next."""
    _show(directory_of(root, state), as_json=as_json)


@app.command()
def check(root: Root = Path("/"), state: StateDir = None, as_json: Json = False) -> None:
    """Look and ask the server now instead of at the next appointed time."""
    agent = _agent(root, state)
    run_pass(agent, ask=True)
    _show(agent.directory, as_json=as_json)


@app.command()
def install(
    campaign: Annotated[str | None, typer.Argument(help="One campaign [all that is offered].")] = None,
    root: Root = Path("/"),
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Install now what is offered, before it is forced."""
    outcomes = install_chosen(_agent(root, state), campaign)
    found = [
        {
            "campaign": held.order.campaign,
            "status": held.status,
            "done": outcome.done,
            "detail": outcome.detail,
        }
        for held, outcome in outcomes
    ]
    people = [f"{one['campaign']}: {printable(str(one['detail']), 400)}" for one in found]
    _print(as_json, {"installed": found}, "\n".join(people) or "nothing is offered here that is still open")
    if not all(outcome.done for _, outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def volunteer(
    part: Annotated[Part, typer.Argument(help="join or leave.")],
    root: Root = Path("/"),
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Get updates before others do, to test them; or no longer."""
    joins = part is Part.JOIN
    said = _say(root, state, Volunteering(joins), lambda agent: person.volunteer(agent, joins=joins))
    _print(as_json, {"volunteers": joins}, said)


@app.command()
def broke(
    campaign: Annotated[str, typer.Argument(help="The campaign, as `forestall-agent status` shows it.")],
    what: Annotated[str, typer.Argument(help="What no longer works, in your own words.")],
    root: Root = Path("/"),
    state: StateDir = None,
    as_json: Json = False,
) -> None:
    """Say that an update broke something; it counts against the update before others get it."""
    word = Broke(campaign[:80], what[:LONGEST_COMPLAINT])
    said = _say(root, state, word, lambda agent: person.complain(agent, campaign, what))
    _print(as_json, {"campaign": campaign, "noted": True}, said)


def main() -> None:
    """Run a command; what goes wrong is said in one sentence, never as a stack trace."""
    try:
        app(prog_name="forestall-agent")
    except ForestallError as error:
        typer.echo(f"forestall-agent: {printable(str(error))}", err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(f"forestall-agent: {printable(str(error))} (run it as root?)", err=True)
        sys.exit(1)


def _say(root: Path, state: Path | None, word: Word, do: Callable[[Agent], None]) -> str:
    """Note a person's word as root does, or have the service do it for whoever works at the machine."""
    directory, tongue = directory_of(root, state), texts.language()
    if os.access(directory, os.W_OK):
        do(_agent(root, state))
        return person_texts.heard_word(Verdict(True), word, tongue)
    verdict = tell(directory, word)
    said = person_texts.heard_word(verdict, word, tongue)
    if not verdict.taken:
        raise AgentError(said)
    return said


def _agent(root: Path, state: Path | None) -> Agent:
    directory = directory_of(root, state)
    identity.prepare(directory)
    place = root.resolve()
    here = place == Path("/")
    return Agent(
        directory,
        system_at(place, directory),
        restart=SHUTDOWN if here else (),
        services=SHOW if here else (),
        renew=TRY_RESTART if here else (),
    )


def _host_name(given: str, root: Path) -> str:
    try:
        name = given or (root / "etc/hostname").read_text(errors="replace").strip()
    except OSError:
        name = ""
    name = name or socket.gethostname()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", name):
        raise InputError(f"{printable(name, 80)!r} is no usable host name: give another with --name")
    return name


def _show(directory: Path, *, as_json: bool) -> None:
    tongue, now = texts.language(), utc_now()
    view = show.status_of(directory, now, tongue)
    typer.echo(show.as_json(view) if as_json else "\n".join(show.lines(view, now, tongue)))


def _print(as_json: bool, value: dict[str, object], people: str) -> None:
    typer.echo(msgspec.json.encode(value).decode() if as_json else people)
