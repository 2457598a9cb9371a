"""Remediations without a package, by their signed recipes: install, detect, undo (P1.4, A7, A10)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from forestall.agent import payloads
from forestall.agent.installers import files, kernel, own
from forestall.agent.installers.kept import Kept, kept_for
from forestall.agent.installers.outcome import Outcome
from forestall.agent.installers.steps import Machine, ask, carry_out, payload_of
from forestall.agent.sight import Sight
from forestall.agent.trusted import sha256_of, trusted
from forestall.domain.errors import AgentError
from forestall.domain.evidence import Status
from forestall.domain.order import Order, Verb
from forestall.domain.recipe import (
    Answer,
    Check,
    Content,
    PutFile,
    Recipe,
    RunPayload,
    SetKernel,
    UpdateAgent,
    payload_in,
    verdict,
)
from forestall.domain.remediation import RemediationId
from forestall.trust.verifier import Trust

_NO_RECIPE = "nobody approves a recipe for it any more"
_TAKEN_BACK = {
    Status.AFFECTED: Status.FIXED,
    Status.FIXED: Status.AFFECTED,
    Status.PENDING_RESTART: Status.AFFECTED,
}
"""How a machine stands to the undoing, by how it stands to the update."""


def install(machine: Machine, name: RemediationId, recipe: Recipe, transcript: Path) -> Outcome:
    """Do what the recipe says; once more where it was cut off."""
    kept = kept_for(machine.directory, name)
    transcript.unlink(missing_ok=True)
    match recipe:
        case RunPayload():
            return _guarded(lambda: _run(machine, kept, recipe, transcript))
        case PutFile():
            return _guarded(lambda: files.install(machine, kept, recipe, transcript))
        case SetKernel():
            return _guarded(lambda: kernel.install(machine, kept, recipe))
        case UpdateAgent():
            return _guarded(lambda: own.install(machine, name, recipe))


def detect(machine: Machine, name: RemediationId, recipe: Recipe) -> Answer:
    """Look how the machine stands; what cannot be looked at is unknown (A2)."""
    kept = kept_for(machine.directory, name)
    try:
        match recipe:
            case RunPayload():
                return _asked(machine, kept, recipe)
            case PutFile():
                return files.detect(machine, kept, recipe)
            case SetKernel():
                return kernel.detect(machine, recipe)
            case UpdateAgent():
                return own.detect(machine, name, recipe)
    except (AgentError, OSError) as error:
        return Answer(Status.UNKNOWN, _said(error))


def undone(machine: Machine, name: RemediationId, recipe: Recipe) -> Answer:
    """Look whether what the recipe did is taken back: affected is where it still stands (A7)."""
    if isinstance(recipe, UpdateAgent):
        return own.undone(machine, name, recipe)
    if kept_for(machine.directory, name).unfinished.exists():
        return Answer(Status.AFFECTED, "what was begun was cut off")
    status, reason = detect(machine, name, recipe)
    return Answer(_TAKEN_BACK.get(status, status), reason)


def undo(
    machine: Machine, name: RemediationId, recipe: Recipe, transcript: Path, back_to: str = ""
) -> Outcome:
    """Take back what the recipe did, where it can be taken back; the agent, to the approved version."""
    kept = kept_for(machine.directory, name)
    transcript.unlink(missing_ok=True)
    match recipe:
        case RunPayload():
            return _guarded(lambda: _taken_back(machine, kept, recipe, transcript))
        case PutFile():
            return _guarded(lambda: files.undo(machine, kept, recipe, transcript))
        case SetKernel():
            return _guarded(lambda: kernel.undo(machine, kept, recipe))
        case UpdateAgent():
            return _guarded(lambda: own.undo(machine, recipe, back_to))


@dataclass(frozen=True, slots=True)
class Recipes:
    """Orders that carry a recipe, on one machine."""

    machine: Machine
    trust: Trust
    now: Callable[[], datetime]

    def status(self, order: Order, sight: Sight) -> tuple[Status, str]:  # noqa: ARG002 - packages say nothing here
        """Ask what the recipe asks."""
        if order.recipe is None:
            return Status.UNKNOWN, _NO_RECIPE
        look = undone if order.verb is Verb.UNDO else detect
        return look(self.machine, order.remediation, order.recipe)

    def download(self, order: Order, sight: Sight) -> Outcome:  # noqa: ARG002
        """Fetch the payload into the agent's own store."""
        payload = payload_in(order.recipe)
        if payload is None:
            return Outcome(True, "nothing is to be downloaded")
        return payloads.fetch(self.machine.directory, payload, self.trust, self.now())

    def install(self, order: Order, sight: Sight, transcript: Path) -> Outcome:
        """Do what the recipe says, or take it back; a payload that was not there yet is fetched first."""
        if order.recipe is None:
            return Outcome(False, _NO_RECIPE)
        fetched = self.download(order, sight)
        if not fetched.done:
            return fetched
        if order.verb is Verb.UNDO:
            return undo(self.machine, order.remediation, order.recipe, transcript, order.back_to)
        return install(self.machine, order.remediation, order.recipe, transcript)

    def repair(self, transcript: Path) -> Outcome:  # noqa: ARG002
        """Leave it to the next installation: until then what was cut off counts as affected."""
        return Outcome(True, "nothing to repair")


def _guarded(work: Callable[[], Outcome]) -> Outcome:
    try:
        return work()
    except (AgentError, OSError) as error:
        return Outcome(False, _said(error))


def _said(error: AgentError | OSError) -> str:
    return f"{error.filename or 'the disk'}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _run(machine: Machine, kept: Kept, recipe: RunPayload, transcript: Path) -> Outcome:
    payload_of(machine, recipe.payload)
    kept.begin()
    complaint = carry_out(machine, recipe.install, recipe.payload, transcript)
    if complaint:
        return Outcome(False, complaint)
    kept.end()
    answer = _asked(machine, kept, recipe)
    return Outcome(answer.status in {Status.FIXED, Status.PENDING_RESTART}, answer.reason)


def _taken_back(machine: Machine, kept: Kept, recipe: RunPayload, transcript: Path) -> Outcome:
    if recipe.undo is None:
        return Outcome(False, "this recipe cannot be taken back")
    kept.begin()
    complaint = carry_out(machine, recipe.undo, recipe.payload, transcript)
    if complaint:
        return Outcome(False, complaint)
    kept.forget()
    answer = _asked(machine, kept, recipe)
    return Outcome(answer.status is Status.AFFECTED, answer.reason)


def _asked(machine: Machine, kept: Kept, recipe: RunPayload) -> Answer:
    if kept.unfinished.exists():
        return Answer(Status.AFFECTED, "an installation was cut off")
    return verdict([_answer(machine, check, recipe) for check in recipe.detect])


def _answer(machine: Machine, check: Check, recipe: RunPayload) -> Answer:
    if not isinstance(check, Content):
        return ask(machine, check, recipe.payload)
    try:
        same = sha256_of(trusted(machine.root, check.path)) == check.sha256
    except FileNotFoundError:
        return Answer(Status.AFFECTED, f"{check.path} is not there")
    if same:
        return Answer(Status.FIXED, f"{check.path} is as it should be")
    return Answer(Status.AFFECTED, f"{check.path} is another file")
