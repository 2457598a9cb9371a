"""The slots on this machine: what is remembered of them, and whether one may be run. Standard library only.

The launcher, which no update replaces, and every later agent read and write `record.json`: what is in it keeps its
meaning for good, and what one of them does not know it leaves there.
"""

import contextlib
import fcntl
import importlib.machinery
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import forestall
from forestall.agent.trusted import trusted
from forestall.domain.errors import AgentError
from forestall.domain.slot import BASE, Slots
from forestall.durable import write_whole

_RECORD = "record.json"
_NAME = re.compile(r"[0-9a-f]{64}")
ABOUT = "agent.json"
"""In each slot: its version, and what it was built for."""


def folder_of(directory: Path) -> Path:
    """Say where the slots of an agent's directory are."""
    return directory / "slots"


def place_of(directory: Path, name: str) -> Path:
    """Say where a slot is."""
    return folder_of(directory) / name


def platform() -> str:
    """Name what binary parts must be built for here: `cpython-311-x86_64-linux-gnu`."""
    return importlib.machinery.EXTENSION_SUFFIXES[0].strip(".").removesuffix(".so")


def running(directory: Path) -> str:
    """Name the slot that this very code runs from: where it lies, not what somebody says."""
    place = Path(forestall.__file__).parents[1]
    return place.name if place.parent == folder_of(directory) else BASE


def load(directory: Path) -> Slots:
    """Read what is remembered; where nothing is, or nothing that can be read, the agent that came along is in force."""
    try:
        return _read(_content(directory))
    except (OSError, ValueError):
        return Slots()


def change(directory: Path, how: Callable[[Slots], Slots]) -> Slots:
    """Change what is remembered, whole and durable or not at all.

    Raises:
        OSError: it cannot be written; then nothing has changed.
    """
    folder = folder_of(directory)
    folder.mkdir(mode=0o755, exist_ok=True)
    with _alone(folder):
        before = load(directory)
        after = how(before)
        if after != before:
            made = json.dumps({**_known(directory), **asdict(after)}, indent=1)
            write_whole(folder / _RECORD, made.encode(), 0o644)
    return after


def _known(directory: Path) -> dict[str, object]:
    """Read all that the file says, also what a newer agent added."""
    try:
        return _content(directory)
    except (OSError, ValueError):
        return {}


def _content(directory: Path) -> dict[str, object]:
    found = json.loads((folder_of(directory) / _RECORD).read_bytes())
    if not isinstance(found, dict):
        raise ValueError("no record")  # noqa: TRY004 - it is a damaged file, not a mistake of the program
    return found


def _read(found: Mapping[str, object]) -> Slots:
    names = [found.get(each, BASE) for each in ("current", "previous")]
    trial, starts, failed = found.get("trial"), found.get("starts", 0), found.get("failed", {})
    sound = all(map(_is_name, names)) and (trial is None or _is_name(trial))
    if not sound or not isinstance(starts, int) or not isinstance(failed, dict):
        raise ValueError("an odd record")
    words = {str(name): str(why) for name, why in failed.items()}
    current, previous = map(str, names)
    return Slots(current, previous, None if trial is None else str(trial), starts, words)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and (value == BASE or _NAME.fullmatch(value) is not None)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of the record, for as long as a file takes; it goes with the process."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def flaw(directory: Path, name: str) -> str:
    """Say why a slot must not be run: torn, for another machine, or not root's alone; empty where it may be."""
    if name == BASE:
        return ""
    place = place_of(directory, name)
    try:
        trusted(Path("/"), str(place))
        for each in _everything(place):
            _look(each)
        about = json.loads((place / ABOUT).read_bytes())
    except (AgentError, ValueError) as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return "" if about.get("platform") == platform() else f"{place} is for {about.get('platform')}"


def version_of(directory: Path, name: str) -> str:
    """Say which version a slot has; empty where it cannot be told."""
    try:
        return str(json.loads((place_of(directory, name) / ABOUT).read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def in_force(directory: Path, found: Slots) -> str:
    """Name the agent in force; where its slot must not be run, the one before it, at last the one that came along."""
    return next((name for name in (found.current, found.previous) if not flaw(directory, name)), BASE)


def next_start(directory: Path) -> str:
    """Name the agent that the service is at its next start."""
    found = load(directory)
    return found.trial or in_force(directory, found)


def _everything(place: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(place, onerror=_raise):
        yield from (Path(folder, each) for each in (*folders, *files))


def _raise(error: OSError) -> None:
    raise error


def _look(path: Path) -> None:
    found = path.lstat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise AgentError(f"{path} is neither file nor folder")
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & 0o022:
        raise AgentError(f"{path} can be changed by others")
