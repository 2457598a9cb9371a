"""Wakes the machines that a change concerns: a hint without authority, to those that sleep here (A7, P8.2)."""

import sys
import threading
from collections.abc import Iterable
from typing import Protocol

import structlog

from forestall.domain.device import DeviceId
from forestall.domain.errors import ForestallError
from forestall.store import wakes
from forestall.store.database import Database

_LISTEN_SECONDS = 1.0
_AGAIN_AFTER_SECONDS = 5.0
_log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


class Sleepers(Protocol):
    """The machines that sleep at this process's door."""

    def sleeping(self) -> list[DeviceId]:
        """List them."""

    def wake(self, devices: Iterable[DeviceId]) -> None:
        """Tell those to look now."""


class Waker:
    """Hears calls of any process of the installation and wakes its own sleepers."""

    def __init__(self, database: Database, sleepers: Sleepers) -> None:
        self._database = database
        self._sleepers = sleepers
        self.listens = threading.Event()
        """Set from the first moment on in which a call is heard."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="waker", daemon=True)

    def start(self) -> None:
        """Start listening."""
        self._thread.start()

    def stop(self) -> None:
        """Hear no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except ForestallError as error:
                _log.warning("nobody is woken for now", why=str(error))
                self._stop.wait(_AGAIN_AFTER_SECONDS)

    def _listen(self) -> None:
        with wakes.listening(self._database) as calls:
            self.listens.set()
            while not self._stop.is_set():
                campaigns = calls(_LISTEN_SECONDS)
                sleeping = self._sleepers.sleeping() if campaigns else []
                if sleeping:
                    with self._database.begin() as con:
                        concerned = wakes.called(con, campaigns, sleeping)
                    self._sleepers.wake(concerned)
