"""Paths that nobody but root can change: what runs as root, and where root writes, lies on no other (R38)."""

import hashlib
import os
import stat
from pathlib import Path, PurePosixPath

from forestall.domain.errors import AgentError
from forestall.domain.recipe import Payload

_MOST_LINKS = 40


def trusted(root: Path, path: str) -> Path:
    """Follow `path` inside `root` as a process there would, over nothing that others own or may write.

    Raises:
        AgentError: a part of it is somebody else's, or may be written by others.
        OSError: a part of it is missing.
    """
    place = root
    for folder in (root, *root.parents):
        _look(folder)
    todo, links = [*reversed(PurePosixPath(path).parts)], 0
    while todo:
        part = todo.pop()
        if part == "/":
            place = root
        elif part == "..":
            place = place if place == root else place.parent
        elif stat.S_ISLNK(_look(place / part).st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise AgentError(f"{path}: too many symbolic links")
            todo += reversed((place / part).readlink().parts)
        else:
            place /= part
    return place


def _look(path: Path) -> os.stat_result:
    found = path.lstat()
    if found.st_uid not in {0, os.geteuid()}:
        raise AgentError(f"{path} belongs to user {found.st_uid}, who could change it")
    writable = found.st_mode & stat.S_IWOTH or (
        found.st_mode & stat.S_IWGRP and found.st_gid not in {0, os.getegid()}
    )
    # In a sticky directory (/tmp) nobody moves what is somebody else's.
    if writable and not stat.S_ISLNK(found.st_mode) and not found.st_mode & stat.S_ISVTX:
        raise AgentError(f"{path} may be written by others (mode {stat.S_IMODE(found.st_mode):04o})")
    return found


def verified(root: Path, path: str, payload: Payload) -> Path:
    """Find a payload whose bytes are those that were signed, read through the open file.

    Only root can change it after that: every folder above is root's.

    Raises:
        AgentError: it is another file, or in a place that others may change.
        OSError: it is missing.
    """
    place = trusted(root, path)
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as source:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != payload.length:
            raise AgentError(f"{place} is not the file that was signed: {found.st_size} bytes long")
        if hashlib.file_digest(source, "sha256").hexdigest() != payload.sha256:
            raise AgentError(f"{place} is not the file that was signed: its hash is another")
    return place


def sha256_of(path: Path) -> str | None:
    """Read the hash of a regular file; None where there is none.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except FileNotFoundError:
        return None
