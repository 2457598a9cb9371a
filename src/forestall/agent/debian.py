"""The Debian root that the agent serves, and the one way to run its tools: no shell, fixed arguments."""

import os
import re
import signal
import subprocess
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?")
"""A package name as it may stand on a command line (Debian policy 5.6.7), with or without architecture."""

CLEAN_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",
}
"""Nothing of the caller's environment reaches a package tool: no proxy, no PATH, no configuration (R38)."""


@dataclass(frozen=True, slots=True)
class Debian:
    """One root directory with dpkg's database in it, and how apt and dpkg are called for it."""

    path: Path
    apt_get: tuple[str, ...]
    apt_cache: tuple[str, ...]
    dpkg: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: CLEAN_ENVIRONMENT)

    @property
    def admindir(self) -> Path:
        """The database of dpkg."""
        return self.path / "var/lib/dpkg"

    @property
    def archives(self) -> Path:
        """Where apt keeps what it downloaded."""
        return self.path / "var/cache/apt/archives"


def debian_at(path: Path) -> Debian:
    """Serve the running system (`/`), or another Debian root by entering it with chroot."""
    prefix = () if path == Path("/") else ("/usr/sbin/chroot", str(path))
    return Debian(
        path=path,
        apt_get=(*prefix, "/usr/bin/apt-get"),
        apt_cache=(*prefix, "/usr/bin/apt-cache"),
        dpkg=(*prefix, "/usr/bin/dpkg"),
    )


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; `status` is None where it could not start or was stopped at its time limit."""

    status: int | None
    output: str
    errors: str = ""
    """What it wrote beside its output, where the two were kept apart."""


def run(debian: Debian, command: Sequence[str], limit: timedelta, transcript: Path | None = None) -> Ran:
    """Run a fixed command in a clean environment and session of its own.

    With a `transcript` its output goes to that file, not through a pipe: a package tool must not die of a
    broken pipe when the agent is killed in the middle of an installation.
    """
    try:
        if transcript is None:
            return _captured(debian, command, limit)
        return _recorded(debian, command, limit, transcript)
    except OSError as error:
        return Ran(None, f"{command[0]} does not start: {error.strerror}")


def _captured(debian: Debian, command: Sequence[str], limit: timedelta) -> Ran:
    try:
        done = subprocess.run(
            command,
            env=dict(debian.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            umask=0o022,
            timeout=limit.total_seconds(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ran(None, f"stopped after {limit}")
    return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def _recorded(debian: Debian, command: Sequence[str], limit: timedelta, transcript: Path) -> Ran:
    with transcript.open("ab") as sink:
        begun = sink.tell()
        child = subprocess.Popen(
            command,
            env=dict(debian.environment),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd="/",
            umask=0o022,
            start_new_session=True,
        )
        try:
            status: int | None = child.wait(timeout=limit.total_seconds())
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait()
            status = None
    with transcript.open("rb") as source:
        source.seek(begun)
        output = source.read().decode(errors="replace")
    return Ran(status, output if status is not None else f"{output}\nstopped after {limit}")


def printable(text: str, most: int = 2_000) -> str:
    """Make text from outside harmless for a terminal and a report: no control characters, bounded."""
    clean = "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else " " for c in text)
    return clean[:most]
