"""The steps of a recipe on this machine: a program that only root can change, fixed arguments, bounds, no shell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forestall.agent.payloads import place_of
from forestall.agent.program import CLEAN_ENVIRONMENT, Ran, run
from forestall.agent.trusted import trusted, verified
from forestall.domain.errors import AgentError
from forestall.domain.recipe import PAYLOAD, Answer, Command, Payload, Question, read_code

_MOST_SAID = 1 << 20
"""Bytes of a question's answer, and of a transcript."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One root and the agent's directory in it."""

    root: Path
    directory: Path
    environment: Mapping[str, str] = field(default_factory=lambda: CLEAN_ENVIRONMENT)

    def inside(self, place: Path) -> str:
        """Name a path as a process in the root has it.

        Raises:
            AgentError: it lies outside.
        """
        if not place.is_relative_to(self.root):
            raise AgentError(f"{place} lies outside of {self.root}")
        return f"/{place.relative_to(self.root)}"


def carry_out(machine: Machine, command: Command, payload: Payload | None, transcript: Path) -> str:
    """Run one step; empty where it succeeded, else a sentence.

    Raises:
        AgentError: its program or its payload is not what may run as root.
        OSError: it is missing.
    """
    words = _words(machine, command.arguments, payload)
    ran = run(machine.environment, words, command.limit, transcript, _MOST_SAID)
    if ran.status in command.done:
        return ""
    said = " ".join(ran.output.split())[-300:]
    how = "did not end in time" if ran.status is None else f"ended with {ran.status}"
    return f"{command.arguments[0]} {how}: {said}"


def ask(machine: Machine, question: Question, payload: Payload | None = None) -> Answer:
    """Ask a program how the machine stands.

    Raises:
        AgentError: its program or its payload is not what may run as root.
        OSError: it is missing.
    """
    words = _words(machine, question.arguments, payload)
    ran: Ran = run(machine.environment, words, question.limit, most=_MOST_SAID)
    return read_code(question, ran.status)


def payload_of(machine: Machine, payload: Payload) -> Path:
    """Find a payload in the agent's store, verified now.

    Raises:
        AgentError: it is not the one that was signed.
        OSError: it is missing.
    """
    return verified(machine.root, machine.inside(place_of(machine.directory, payload)), payload)


def _words(machine: Machine, arguments: tuple[str, ...], payload: Payload | None) -> list[str]:
    program, *rest = (
        machine.inside(payload_of(machine, payload)) if word == PAYLOAD and payload is not None else word
        for word in arguments
    )
    trusted(machine.root, program)
    prefix = () if machine.root == Path("/") else ("/usr/sbin/chroot", str(machine.root))
    return [*prefix, program, *rest]
