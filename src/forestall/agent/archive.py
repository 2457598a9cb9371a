"""An agent as one file: a ZIP of plain files, written the same for the same content, unpacked within bounds.

Who unpacks it is root, so nothing in it is believed but file names that stay below the slot and their bytes: no links,
no devices, no modes, no owners.
"""

import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from forestall.agent.slots import ABOUT
from forestall.domain.errors import AgentError
from forestall.durable import settle

MOST_FILES = 10_000
MOST_BYTES = 512 * 2**20
"""Unpacked."""
_MOST_ABOUT = 4_096
_NAME = re.compile(r"[A-Za-z0-9_@+.-]{1,128}(?:/[A-Za-z0-9_@+.-]{1,128}){0,15}")
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1
_SPACE_FACTOR = 2
_ALWAYS = (1980, 1, 1, 0, 0, 0)
"""The time of every file: two people who make the same agent get the same hash."""


@dataclass(frozen=True, slots=True)
class About:
    """What an archive says of itself, where the launcher finds it, too."""

    version: str
    platform: str
    """What its binary parts were built for; see `slots.platform`."""


def write(place: Path, about: About, files: Mapping[str, bytes]) -> None:
    """Write an archive of these files."""
    said = json.dumps({"version": about.version, "platform": about.platform}).encode()
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted({**files, ABOUT: said}.items()):
            archive.writestr(zipfile.ZipInfo(name, _ALWAYS), content, zipfile.ZIP_DEFLATED)


def about(place: Path) -> About:
    """Read what an archive is, after a look at every name in it.

    Raises:
        AgentError: it is no archive of an agent; the message says why.
        OSError: it cannot be read.
    """
    with _opened(place) as archive:
        _looked(archive.infolist())
        return _about(archive)


def unpack(place: Path, folder: Path) -> None:
    """Unpack an archive into a folder that is not there yet: whole and durable, or not at all.

    Raises:
        AgentError: it is no archive of an agent, or too large for the disk.
        OSError: the disk refuses.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    with _opened(place) as archive:
        entries = _looked(archive.infolist())
        _room(folder.parent, sum(entry.file_size for entry in entries))
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(mode=0o755)
            for entry in entries:
                _put(archive, entry, partial)
            _settled(partial)
            partial.rename(folder)
            settle(folder.parent)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
            raise AgentError(f"torn-archive: {error}") from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _opened(place: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(place)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise AgentError(f"torn-archive: {error}") from None


def _looked(entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Refuse what is not a plain file below the slot, and more than an agent can be."""
    if len(entries) > MOST_FILES:
        raise AgentError(f"too-many-files: {len(entries)}, more than {MOST_FILES}")
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise AgentError(f"too-big: more than {MOST_BYTES >> 20} MiB unpacked")
    for entry in entries:
        if why := _oddity(entry):
            raise AgentError(f"{why}: {entry.filename[:80]!r}")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names) or not _apart(names):
        raise AgentError("named-twice: two of its files have one place")
    return entries


def _oddity(entry: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    parts = PurePosixPath(entry.filename).parts
    if not _NAME.fullmatch(entry.filename) or any(part in {".", ".."} for part in entry.filename.split("/")):
        return "odd-name"
    if kind not in {0, stat.S_IFREG} or not parts:
        return "no-plain-file"
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        return "unreadable-method"
    return ""


def _apart(names: Iterable[str]) -> bool:
    """Say whether no file is also the folder of another."""
    every = set(names)
    return not any(str(folder) in every for name in every for folder in PurePosixPath(name).parents)


def _about(archive: zipfile.ZipFile) -> About:
    try:
        info = archive.getinfo(ABOUT)
        found = json.loads(archive.read(info) if info.file_size <= _MOST_ABOUT else b"")
        return About(str(found["version"]), str(found["platform"]))
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise AgentError(f"no-agent: {ABOUT} cannot be read: {error}") from None


def _room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < _SPACE_FACTOR * size:
        raise AgentError(f"too little space in {folder}: {free >> 20} MiB free, {size >> 20} MiB to unpack")


def _put(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    place = folder / entry.filename
    for above in reversed(place.relative_to(folder).parents[:-1]):
        (folder / above).mkdir(mode=0o755, exist_ok=True)
        (folder / above).chmod(0o755)
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as sink, archive.open(entry) as source:
        os.fchmod(descriptor, 0o644)
        left = entry.file_size
        while chunk := source.read(min(1 << 20, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise ValueError(f"{entry.filename} is longer than it says")
            sink.write(chunk)
        if left:
            raise ValueError(f"{entry.filename} is shorter than it says")
        sink.flush()
        os.fsync(descriptor)


def _settled(folder: Path) -> None:
    folder.chmod(0o755)
    for each, _, _ in os.walk(folder):
        settle(Path(each))
