"""The one way to run a program on the machine: fixed arguments, a clean environment, bounds on time and output."""

import contextlib
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from forestall.clock import stopwatch

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

MOST_SAID = 64 * 2**20
"""A program that writes more to a pipe is stopped; a transcript that grows longer is begun anew."""
_GRACE_SECONDS = 10.0
"""Between asking a program to end and ending it."""
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; `status` is None where it could not start or was stopped at one of its limits."""

    status: int | None
    output: str
    errors: str = ""
    """What it wrote beside its output, where the two were kept apart."""


def run(
    environment: Mapping[str, str],
    command: Sequence[str],
    limit: timedelta,
    transcript: Path | None = None,
    most: int = MOST_SAID,
) -> Ran:
    """Run a fixed command in a session of its own; at its limits it is stopped with all that it started there.

    With a `transcript` its output goes to that file, not through a pipe: a package tool must not die of a
    broken pipe when the agent is killed in the middle of an installation. `most` is in bytes.
    """
    try:
        if transcript is None:
            return _captured(environment, command, limit, most)
        with transcript.open("ab") as sink, unhurried():
            return _recorded(environment, command, limit, sink, most)
    except OSError as error:
        return Ran(None, f"{command[0]} does not start: {error.strerror}")


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Let the trial of a new agent not end in the middle of what changes the machine and has a limit of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)


def _start(
    environment: Mapping[str, str], command: Sequence[str], output: int | IO[bytes], errors: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        cwd="/",
        umask=0o022,
        start_new_session=True,
    )


def _captured(environment: Mapping[str, str], command: Sequence[str], limit: timedelta, most: int) -> Ran:
    with _start(environment, command, subprocess.PIPE, subprocess.PIPE) as child:
        output, errors, why = _drained(child, limit, most)
        if why:
            _stop(child)
            return Ran(None, why)
    return Ran(child.returncode, output.decode(errors="replace"), errors.decode(errors="replace"))


def _drained(child: subprocess.Popen[bytes], limit: timedelta, most: int) -> tuple[bytes, bytes, str]:
    """Read what a program says until it says no more; a sentence where it reached a limit first."""
    said = {stream: bytearray() for stream in (child.stdout, child.stderr) if stream is not None}
    until = stopwatch() + limit.total_seconds()
    with selectors.DefaultSelector() as waiting:
        for stream, heard in said.items():
            waiting.register(stream, selectors.EVENT_READ, heard)
        while waiting.get_map():
            left = until - stopwatch()
            if left <= 0:
                return b"", b"", f"stopped after {limit}"
            for key, _ in waiting.select(left):
                chunk = os.read(key.fd, 64 * 1024)
                key.data.extend(chunk)
                if len(key.data) > most:
                    return b"", b"", f"stopped: it said more than {most} bytes"
                if not chunk:
                    waiting.unregister(key.fileobj)
    try:
        child.wait(max(0.0, until - stopwatch()))
    except subprocess.TimeoutExpired:
        return b"", b"", f"stopped after {limit}"
    output, errors = (bytes(each) for each in said.values())
    return output, errors, ""


def _recorded(
    environment: Mapping[str, str], command: Sequence[str], limit: timedelta, sink: IO[bytes], most: int
) -> Ran:
    begun = sink.tell()
    child = _start(environment, command, sink, subprocess.STDOUT)
    ended = _awaited(child, limit, sink, most)
    with Path(sink.name).open("rb") as source:
        source.seek(begun if os.fstat(source.fileno()).st_size >= begun else 0)
        output = source.read(most).decode(errors="replace")
    return Ran(child.returncode, output) if ended else Ran(None, f"{output}\nstopped after {limit}")


def _awaited(child: subprocess.Popen[bytes], limit: timedelta, sink: IO[bytes], most: int) -> bool:
    """Wait for the end of a program while its transcript stays short; stop it at its time limit."""
    until = stopwatch() + limit.total_seconds()
    while (left := until - stopwatch()) > 0:
        try:
            child.wait(min(left, _LOOK_SECONDS))
        except subprocess.TimeoutExpired:
            if os.fstat(sink.fileno()).st_size > most:
                os.ftruncate(sink.fileno(), 0)  # it appends: what comes next is kept
        else:
            return True
    _stop(child)
    return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End a program and what it started in its session: first asked, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(_GRACE_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    child.wait()
