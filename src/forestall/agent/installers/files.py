"""One file put in its place: definitions, or a setting in a drop-in; the old one is kept and can come back."""

import stat
from pathlib import Path

from forestall.agent.installers.kept import Kept, put
from forestall.agent.installers.outcome import Outcome
from forestall.agent.installers.steps import Machine, ask, carry_out, payload_of
from forestall.agent.trusted import sha256_of, trusted
from forestall.domain.errors import AgentError
from forestall.domain.evidence import Status
from forestall.domain.recipe import Answer, PutFile
from forestall.durable import settle


def install(machine: Machine, kept: Kept, recipe: PutFile, transcript: Path) -> Outcome:
    """Put the file, check it in its place, tell its reader; where the check fails, the old one goes back.

    Raises:
        AgentError: the payload or the place is not what may be trusted, or what was kept cannot be read.
        OSError: the machine refuses.
    """
    place, payload = target(machine, recipe.path), payload_of(machine, recipe.payload)
    owners = _owners(machine, recipe)
    if sha256_of(place) != recipe.payload.sha256:
        kept.begin()
        kept.keep(place)
    put(payload, place, *owners, recipe.mode)
    if recipe.check is not None and (complaint := carry_out(machine, recipe.check, None, transcript)):
        return Outcome(False, f"{_bring_back(machine, kept, recipe, transcript)}, because {complaint}")
    if recipe.reload is not None and (complaint := carry_out(machine, recipe.reload, None, transcript)):
        return Outcome(False, f"{recipe.path} is in its place, but {complaint}")
    kept.end()
    return Outcome(True, f"put {recipe.path}")


def detect(machine: Machine, kept: Kept, recipe: PutFile) -> Answer:
    """Say whether the file is there as it should be.

    Raises:
        AgentError: its place is not what may be trusted.
        OSError: it cannot be read.
    """
    place = target(machine, recipe.path)
    if kept.unfinished.exists():
        return Answer(Status.AFFECTED, f"{recipe.path}: its installation was cut off")
    if sha256_of(place) != recipe.payload.sha256:
        if recipe.detect is not None:
            return ask(machine, recipe.detect)
        return Answer(Status.AFFECTED, f"{recipe.path} is not the file that was approved")
    found, wanted = place.stat(), (*_owners(machine, recipe), recipe.mode)
    if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != wanted:
        return Answer(Status.AFFECTED, f"{recipe.path} has another owner or mode than was approved")
    return Answer(Status.FIXED, f"{recipe.path} is the file that was approved")


def undo(machine: Machine, kept: Kept, recipe: PutFile, transcript: Path) -> Outcome:
    """Put back what was there before, unless somebody has changed the file since (A7).

    Raises:
        AgentError: the place is not what may be trusted, or what was kept cannot be read.
        OSError: the machine refuses.
    """
    place = target(machine, recipe.path)
    if kept.before() is None:
        return Outcome(False, f"nothing is kept of what stood at {recipe.path}")
    if sha256_of(place) != recipe.payload.sha256:
        return Outcome(False, f"{recipe.path} was changed since; it is left as it is")
    return Outcome(True, _bring_back(machine, kept, recipe, transcript))


def target(machine: Machine, path: str) -> Path:
    """Find where a file goes: in a folder that only root can change, and no link itself.

    Raises:
        AgentError: it is not.
    """
    folder, _, name = path.rpartition("/")
    place = trusted(machine.root, folder or "/") / name
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise AgentError(f"{path} is a link or no file: the recipe must name the file itself")
    return place


def restore(kept: Kept, place: Path) -> str:
    """Put back the file that was kept, or none where there was none.

    Raises:
        AgentError: what was kept cannot be read.
        OSError: the machine refuses.
    """
    before = kept.before()
    if before is None:
        return "nothing was changed"
    if before.existed:
        put(kept.content, place, before.uid, before.gid, before.mode)
    else:
        place.unlink(missing_ok=True)
        settle(place.parent)
    return "the old file is back" if before.existed else "the file is gone again"


def _bring_back(machine: Machine, kept: Kept, recipe: PutFile, transcript: Path) -> str:
    done = restore(kept, target(machine, recipe.path))
    complaint = carry_out(machine, recipe.reload, None, transcript) if recipe.reload else ""
    kept.forget()
    return f"{done}, but {complaint}" if complaint else done


def _owners(machine: Machine, recipe: PutFile) -> tuple[int, int]:
    return _id(machine, "passwd", recipe.owner), _id(machine, "group", recipe.group)


def _id(machine: Machine, table: str, name: str) -> int:
    """Read a user's or a group's number from the machine's own files."""
    try:
        lines = (machine.root / "etc" / table).read_text(errors="replace").splitlines()
    except OSError as error:
        raise AgentError(f"/etc/{table}: {error.strerror}") from None
    found = next((fields[2] for line in lines if (fields := line.split(":"))[0] == name), "")
    if not found.isdecimal():
        raise AgentError(f"/etc/{table} knows no {name}")
    return int(found)
