"""A turn again and again in a thread of its own: one that fails is told, and the next makes it good."""

import sys
import threading
from collections.abc import Callable

import structlog

from forestall.domain.errors import ForestallError

_log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


class Beat:
    """Takes a turn every few seconds, and at once after one that says that it did something.

    Wake-ups are hints: they only make the next turn come sooner.
    """

    def __init__(self, name: str, turn: Callable[[], object], every_seconds: float) -> None:
        self._name = name
        self._turn = turn
        self._every_seconds = every_seconds
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start turning."""
        self._thread.start()

    def wake(self) -> None:
        """Take the next turn now."""
        self._wake.set()

    def stop(self, *, wait: bool = True) -> None:
        """Take no more turns; the one at hand is finished, unless nobody waits for it."""
        self._stop.set()
        self._wake.set()
        if wait and self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            did: object = None
            try:
                did = self._turn()
            except (ForestallError, OSError) as error:
                if not self._stop.is_set():
                    _log.warning("turn failed", of=self._name, why=str(error))
            except Exception:  # noqa: BLE001 - a fault in one turn must not end all others
                _log.exception("turn failed by a fault of Forestall's own", of=self._name)
            if not did:
                self._wake.wait(self._every_seconds)
                self._wake.clear()
