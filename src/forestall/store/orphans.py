"""Database servers whose owner was killed: found by where they work, stopped cleanly, never mistaken."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from forestall.clock import stopwatch
from forestall.domain.errors import StoreError

_FAST_SECONDS = 20.0
_IMMEDIATE_SECONDS = 10.0


def stop_orphans(data: Path, postmaster: int) -> None:
    """Stop every server process that works in `data`; return when all are gone.

    The postmaster is asked first (fast shutdown); processes it left behind end by themselves or are told to.

    Raises:
        StoreError: One does not end.
    """
    with ExitStack() as stack:
        handles: dict[int, int] = {}
        for pid in _server_processes(data):
            with suppress(ProcessLookupError):
                handles[pid] = os.pidfd_open(pid)
                stack.callback(os.close, handles[pid])
        # Looked at again with the handle open: the number cannot pass to another process from here on.
        still = set(_server_processes(data))
        waiting = {pid: handle for pid, handle in handles.items() if pid in still}
        if postmaster in waiting:
            _send(waiting[postmaster], signal.SIGINT)
        _await_end(waiting, _FAST_SECONDS)
        for handle in waiting.values():
            _send(handle, signal.SIGQUIT)
        _await_end(waiting, _IMMEDIATE_SECONDS)
        if waiting:
            raise StoreError(
                f"Processes {sorted(waiting)} of an earlier database server in {data} do not end. "
                "Stop them, then start again."
            )


def _server_processes(data: Path) -> Iterator[int]:
    """Processes called `postgres` whose working directory is `data` (the server changes into it)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                here = (entry / "cwd").readlink() == data.resolve()
                if here and (entry / "comm").read_text().strip() == "postgres":
                    yield int(entry.name)


def _send(handle: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)


def _await_end(waiting: dict[int, int], seconds: float) -> None:
    """Wait until the processes end and take those that did out of `waiting`."""
    deadline = stopwatch() + seconds
    while waiting and (left := deadline - stopwatch()) > 0:
        ended, _, _ = select.select(list(waiting.values()), [], [], left)
        for pid in [pid for pid, handle in waiting.items() if handle in ended]:
            del waiting[pid]
