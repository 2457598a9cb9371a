"""What is done about a vulnerability without a package: a signed recipe of fixed steps, never a command line (P1.4).

A recipe is approved together with its update, offline, by the people who tested it. What a machine needs to know is
in it: how to install, how to tell whether it is installed, how to take it back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from forestall.domain.evidence import Status
from forestall.domain.policy import HOUR, MINUTE

PAYLOAD = "{payload}"
"""As the argument of a command: the verified file itself."""
LONGEST_STEP = 2 * HOUR
LONGEST_LOOK = 5 * MINUTE
_SHELLS = frozenset(
    {"sh", "bash", "dash", "zsh", "ksh", "csh", "tcsh", "fish", "busybox", "env", "xargs", "sudo", "su"}
)
"""Programs that run what their arguments say; a help against mistakes, the defence is the approval."""


@dataclass(frozen=True, slots=True)
class Command:
    """One program with fixed arguments; the first is its absolute path, or the payload."""

    arguments: tuple[str, ...]
    limit: timedelta
    done: frozenset[int] = frozenset({0})
    """The exit codes that mean success."""


@dataclass(frozen=True, slots=True)
class Question:
    """A program whose exit code says how the machine stands; any other code is unknown (A2)."""

    arguments: tuple[str, ...]
    limit: timedelta
    fixed: frozenset[int]
    affected: frozenset[int]
    pending_restart: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Content:
    """A file that has exactly this content once the machine is fixed."""

    path: str
    sha256: str


Check = Question | Content


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes that travel with the recipe, named by their hash."""

    sha256: str
    length: int


@dataclass(frozen=True, slots=True)
class RunPayload:
    """Run an installer; it may run twice, so it must bear that (R23)."""

    payload: Payload
    install: Command
    detect: tuple[Check, ...]
    undo: Command | None = None


@dataclass(frozen=True, slots=True)
class PutFile:
    """Put one file in its place: virus definitions, or a setting in a drop-in."""

    payload: Payload
    path: str
    owner: str
    group: str
    mode: int
    check: Command | None = None
    """Must succeed with the new file in place; otherwise the old one goes back."""
    reload: Command | None = None
    """Tells the program that reads it."""
    detect: Question | None = None
    """For a file that others bring up to date, too: asked where the content is another."""


@dataclass(frozen=True, slots=True)
class SetKernel:
    """Set one kernel parameter, now and at every start (sysctl(8))."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class UpdateAgent:
    """Put a new agent on trial; it is in force once it has proven itself (`domain.slot`)."""

    payload: Payload
    platform: str
    """The machines it is for: what its binary parts were built for."""


Recipe = RunPayload | PutFile | SetKernel | UpdateAgent


def payload_in(recipe: Recipe | None) -> Payload | None:
    """Name the payload that a recipe needs."""
    return None if recipe is None or isinstance(recipe, SetKernel) else recipe.payload


class Answer(NamedTuple):
    """What one check found, and why."""

    status: Status
    reason: str


_WORST_FIRST = (Status.AFFECTED, Status.UNKNOWN, Status.PENDING_RESTART, Status.FIXED)


def verdict(answers: Iterable[Answer]) -> Answer:
    """Say how a machine stands: the worst check decides, and without a check nobody knows (A2)."""
    nobody = Answer(Status.UNKNOWN, "the recipe asks nothing")
    return min(answers, key=lambda answer: _WORST_FIRST.index(answer.status), default=nobody)


def read_code(question: Question, code: int | None) -> Answer:
    """Read the exit code of a question; a program that did not end says nothing."""
    name = question.arguments[0]
    if code is None:
        return Answer(Status.UNKNOWN, f"{name} gave no answer")
    meanings: Mapping[Status, frozenset[int]] = {
        Status.AFFECTED: question.affected,
        Status.PENDING_RESTART: question.pending_restart,
        Status.FIXED: question.fixed,
    }
    found = next((status for status, codes in meanings.items() if code in codes), Status.UNKNOWN)
    return Answer(found, f"{name} ended with {code}")


def odd_program(arguments: tuple[str, ...]) -> bool:
    """Say whether a command names what must not be run: no absolute path, or a shell."""
    program = arguments[0] if arguments else ""
    if program == PAYLOAD:
        return False
    return not program.startswith("/") or program.rpartition("/")[2].rstrip("0123456789.") in _SHELLS
