"""Sleeps on the server's wake-up stream, in a thread of its own; it hears when to look, and nothing else.

Whoever rings can make the agent check in once a minute at most. Without a stream the agent looks every four hours.
"""

import http.client
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from forestall import protocol
from forestall.agent import client, identity, schedule
from forestall.agent.client import Line, NoAnswer
from forestall.domain.errors import ForestallError

SPREAD_SECONDS = 15.0
"""All who were woken together come within it."""
_AT_MOST_EVERY_SECONDS = 60.0
_SILENCE_SECONDS = 3 * protocol.STILL_HERE_SECONDS
_MOST_BYTES = 1024 * 1024
_LONGEST_LINE = 1_024


def answer_at(rung_at: float, answered_at: float | None, spread: float) -> float:
    """Say when to check in because of a ring, in seconds of a stopwatch; `spread` in 0..1 is drawn each time."""
    soon = rung_at + SPREAD_SECONDS * spread
    return soon if answered_at is None else max(soon, answered_at + _AT_MOST_EVERY_SECONDS)


class Doorbell:
    """The stream, opened again whenever it ends, ever later while it fails."""

    def __init__(self, directory: Path, spread: Callable[[], float]) -> None:
        self._directory = directory
        self._spread = spread
        self._rung = threading.Event()
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._answer_at: float | None = None
        self._answered_at: float | None = None
        self._thread = threading.Thread(target=self._listen, name="doorbell", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        sleeping_on = self._socket
        if sleeping_on is not None:
            with suppress(OSError):
                sleeping_on.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def due(self, now: float) -> bool:
        """Tell whether to check in now because it rang; `now` in seconds of one stopwatch."""
        if self._rung.is_set():
            self._rung.clear()
            self._answer_at = self._answer_at or answer_at(now, self._answered_at, self._spread())
        if self._answer_at is None or now < self._answer_at:
            return False
        self._answer_at, self._answered_at = None, now
        return True

    def _listen(self) -> None:
        failures = 0
        while not self._stop.is_set():
            ended = self._heard()
            failures = failures + 1 if ended else 0
            wanted = ended.retry_after if ended else None
            self._stop.wait(schedule.after_silence(failures, wanted, self._spread()).total_seconds())

    def _heard(self) -> NoAnswer | None:
        """Sleep on one stream until it ends; tell why there was none."""
        try:
            # Read anew each time: the certificate changes when it is renewed.
            line = identity.load(self._directory).line()
        except ForestallError as error:
            return NoAnswer(str(error))
        with closing(client.connection_to(line)) as connection:
            try:
                return self._slept(connection, line)
            except (OSError, http.client.HTTPException, ValueError) as error:
                return NoAnswer(str(error) or type(error).__name__)
            finally:
                self._socket = None

    def _slept(self, connection: http.client.HTTPSConnection, line: Line) -> NoAnswer | None:
        connection.connect()
        # Kept here: the connection forgets it where the answer is the last one on it.
        self._socket = sleeping_on = connection.sock
        if self._stop.is_set():
            return None
        connection.request("GET", line.server.prefix + protocol.WAKE, headers={"Accept": "text/event-stream"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            return client.refusal(line.server, response, response.read(_MOST_BYTES))
        sleeping_on.settimeout(_SILENCE_SECONDS)
        with suppress(OSError, http.client.HTTPException, ValueError):  # it stood: its end is no failure
            self._hear(response)
        return None

    def _hear(self, response: http.client.HTTPResponse) -> None:
        size = 0
        while size < _MOST_BYTES and (said := response.readline(_LONGEST_LINE)):
            size += len(said)
            if said.rstrip() == protocol.LOOK_NOW.rstrip():
                self._rung.set()
