"""The agent itself: unpacked into a slot of its own, put on trial, in force once it has proven itself."""

import importlib.metadata
import shutil
import sys
from datetime import timedelta
from pathlib import Path

from forestall.agent import archive, slots, state
from forestall.agent.installers.outcome import Outcome
from forestall.agent.installers.steps import Machine, payload_of
from forestall.agent.program import run
from forestall.agent.trusted import trusted
from forestall.domain.errors import AgentError
from forestall.domain.evidence import Status
from forestall.domain.product import key_of
from forestall.domain.recipe import Answer, UpdateAgent
from forestall.domain.remediation import RemediationId, parts_of
from forestall.domain.slot import BASE, Slots, called_off, ordered

_ASK_VERSION = "import importlib.metadata; print(importlib.metadata.version('forestall'))"
_ASK_LIMIT = timedelta(minutes=1)


def install(machine: Machine, name: RemediationId, recipe: UpdateAgent) -> Outcome:
    """Unpack it, keep what the running agent remembers, put it on trial; the service starts it after its pass.

    Raises:
        AgentError: the archive is not what was approved, or cannot be unpacked.
        OSError: the machine refuses.
    """
    directory, slot = machine.directory, recipe.payload.sha256
    found = slots.load(directory)
    if slot in found.failed:
        return Outcome(False, f"{_label(name)} is not tried again: {found.failed[slot]}")
    if _goes_back(name, running_version()):
        return Outcome(False, f"{_label(name)} is older than {running_version()}, which runs")
    if slots.flaw(directory, slot):  # it is not there yet, or somebody touched it
        _unpack(machine, name, recipe)
    if found.current != slot or found.trial is not None:
        state.keep(directory)
        slots.change(directory, lambda now: ordered(now, slot))
    return Outcome(True, f"{_label(name)} is in its slot; it proves itself at the next start of the agent")


def detect(machine: Machine, name: RemediationId, recipe: UpdateAgent) -> Answer:
    """Say which agent this is, by where its code lies: in force, on trial, failed, or another one."""
    directory, slot = machine.directory, recipe.payload.sha256
    found, here = slots.load(directory), slots.running(directory) == recipe.payload.sha256
    if recipe.platform != slots.platform():
        return Answer(Status.NOT_AFFECTED, f"it is for {recipe.platform}; this machine is {slots.platform()}")
    if found.trial == slot:
        where = "is on trial until the server answers it" if here else "waits for the agent's next start"
        return Answer(Status.PENDING_RESTART, f"{_label(name)} {where}")
    sound = found.current == slot and not slots.flaw(directory, slot)
    if sound and here:
        return Answer(Status.FIXED, f"{_label(name)} runs, from the archive that was signed")
    trying = slots.version_of(directory, found.trial or BASE)
    return _without(name, trying, found.failed.get(slot, ""), in_force=sound)


def _without(name: RemediationId, trying: str, failed: str, *, in_force: bool) -> Answer:
    """Say how a machine stands whose agent is another one just now; two campaigns never fight about a trial."""
    runs = f"{running_version()} runs"
    if _goes_back(name, running_version()):
        return Answer(Status.FIXED, f"{runs}, which is later")
    if in_force:
        return Answer(Status.PENDING_RESTART, f"{_label(name)} is in force; {running_version()} still runs")
    if _goes_back(name, trying):
        return Answer(Status.PENDING_RESTART, f"agent {trying} is on trial, which is later")
    if failed:
        return Answer(Status.AFFECTED, f"{_label(name)} failed: {failed}; {runs}")
    return Answer(Status.AFFECTED, runs)


def undone(machine: Machine, name: RemediationId, recipe: UpdateAgent) -> Answer:
    """Say whether this agent is gone from here: not in force, not on trial, and not the running one."""
    directory, slot = machine.directory, recipe.payload.sha256
    found, here = slots.load(directory), slots.running(directory) == recipe.payload.sha256
    if found.trial == slot or (found.current == slot and found.trial is None):
        return Answer(Status.AFFECTED, f"{_label(name)} is in force or on trial")
    if found.current == slot or here:
        return Answer(Status.PENDING_RESTART, f"{_label(name)} gives way at the agent's next start")
    return Answer(Status.FIXED, f"{running_version()} runs")


def undo(machine: Machine, recipe: UpdateAgent, back_to: str) -> Outcome:
    """Put the agent of the approved version on trial, where this machine has it; it too must prove itself.

    Raises:
        OSError: the machine refuses.
    """
    directory, slot = machine.directory, recipe.payload.sha256
    found = slots.load(directory)
    if found.trial == slot:
        slots.change(directory, called_off)
        return Outcome(True, "its trial is over; the agent in force stays")
    if found.current != slot:
        return Outcome(True, "it is not in force")
    target = _slot_with(machine, found, back_to)
    if target is None:
        return Outcome(
            False, f"agent {back_to} is not on this machine, and no other was approved; a person looks"
        )
    if flaw := slots.flaw(directory, target):
        return Outcome(False, f"agent {back_to} cannot be run: {flaw}")
    state.keep(directory)
    slots.change(directory, lambda now: ordered(now, target))
    return Outcome(True, f"agent {back_to} proves itself at the next start")


def _slot_with(machine: Machine, found: Slots, version: str) -> str | None:
    """Find the agent of this version among those kept to go back to: the one before, and the one that came along."""
    kept = (name for name in (found.previous, BASE) if version and _version(machine, name) == version)
    return next(kept, None)


def _version(machine: Machine, name: str) -> str:
    """Name the version of an agent here; empty where it cannot be told."""
    if name != BASE:
        return slots.version_of(machine.directory, name)
    if slots.running(machine.directory) == BASE:
        return running_version()
    # A slot's own code does not see what is installed beside the interpreter; the launcher does, and starts that.
    ran = run(machine.environment, [sys.executable, "-I", "-B", "-c", _ASK_VERSION], _ASK_LIMIT)
    return ran.output.strip() if ran.status == 0 else ""


def running_version() -> str:
    """Name the version of this very code."""
    return importlib.metadata.version("forestall")


def tidy(directory: Path) -> None:
    """Remove slots that nobody needs: neither in force, nor before, nor on trial, nor running."""
    folder = slots.folder_of(directory)
    needed = slots.load(directory).kept | {slots.running(directory)}
    for place in folder.iterdir() if folder.is_dir() else ():
        if place.is_dir() and place.name not in needed:
            shutil.rmtree(place, ignore_errors=True)


def _unpack(machine: Machine, name: RemediationId, recipe: UpdateAgent) -> None:
    directory, place = machine.directory, payload_of(machine, recipe.payload)
    about, wanted = archive.about(place), parts_of(name)[2]
    if (about.version, about.platform) != (wanted, recipe.platform):
        raise AgentError(
            f"other-agent: the archive is {about.version} for {about.platform}, approved is {wanted} for "
            f"{recipe.platform}"
        )
    folder = slots.folder_of(directory)
    folder.mkdir(mode=0o755, exist_ok=True)
    trusted(Path("/"), str(folder))
    slot = slots.place_of(directory, recipe.payload.sha256)
    shutil.rmtree(slot, ignore_errors=True)
    tidy(directory)
    archive.unpack(place, slot)


def _goes_back(name: RemediationId, version: str) -> bool:
    """Say whether this update is older than a version; equal and unreadable ones are not."""
    release, _, wanted = parts_of(name)
    mine, other = key_of(release, wanted), key_of(release, version)
    return mine is not None and other is not None and mine < other


def _label(name: RemediationId) -> str:
    return f"agent {parts_of(name)[2]}"
