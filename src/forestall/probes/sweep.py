"""Knocks on one port of many addresses: who is there? One epoll loop, as many knocks under way as files allow.

The wall time of a half-silent network is silent addresses x patience / knocks under way. Any answer is a sign of
life, a refusal too. Silence counts only where we were there to hear: what runs out while the loop lags is unknown.
"""

import errno
import resource
import select
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from forestall.clock import stopwatch
from forestall.domain.address import Address
from forestall.domain.scope import Area, Scope
from forestall.probes.pace import WAIT_SECONDS, Pace

PATIENCE_SECONDS = 1.0
"""Just below the time after which the kernel knocks a second time."""
LAG_SECONDS = 0.5
"""A loop that was away longer than this has not listened."""
TRIES = 3
_SPARE_FILES = 256
_MOST_AT_ONCE = 18_000
_STARTS_A_TURN = 512
_EVENTS_A_TURN = 8_192
_RESET_AT_CLOSE = (1).to_bytes(4, "little") + bytes(4)


class Presence(StrEnum):
    """What a knock told."""

    OPEN = "open"
    CLOSED = "closed"
    """The machine is there; nothing listens on this port."""
    SILENT = "silent"
    UNKNOWN = "unknown"
    """We could not knock, did not listen, or something on the way answered in its place."""


HERE = frozenset({Presence.OPEN, Presence.CLOSED})
"""A machine is there."""


@dataclass(slots=True)
class Swept:
    """What a sweep found. `refused` addresses are out of scope: nothing was sent to them."""

    found: dict[Address, Presence] = field(default_factory=dict[Address, Presence])
    refused: list[Address] = field(default_factory=list[Address])
    seconds: float = 0.0
    longest_lag: float = 0.0

    @property
    def counts(self) -> Counter[Presence]:
        """Count by presence."""
        return Counter(self.found.values())


def allow_many_files() -> None:
    """Raise this process's own limit of open files as far as it may: every knock holds one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def sweep(
    addresses: Iterable[Address],
    port: int,
    scope: Scope,
    *,
    patience: float = PATIENCE_SECONDS,
    clock: Callable[[], float] = stopwatch,
) -> Swept:
    """Knock on `port` of every address once, within the scope and at the pace of each area.

    What remained unknown is tried again, three times in all.
    """
    swept, began = Swept(), clock()
    allowed: list[tuple[Address, Area]] = []
    for address in addresses:
        area = scope.area_of(address)
        if area is None:
            swept.refused.append(address)
        else:
            allowed.append((address, area))
    pace = Pace()
    for _ in range(TRIES):
        _Round(allowed, port, pace, patience, clock, swept).run()
        allowed = [each for each in allowed if swept.found[each[0]] is Presence.UNKNOWN]
        if not allowed:
            break
    swept.seconds = clock() - began
    return swept


class _Round:
    """Each address once."""

    def __init__(
        self,
        wanted: list[tuple[Address, Area]],
        port: int,
        pace: Pace,
        patience: float,
        clock: Callable[[], float],
        swept: Swept,
    ) -> None:
        self._queues: dict[Area, deque[Address]] = {}
        for address, area in wanted:
            self._queues.setdefault(area, deque()).append(address)
        self._port = port
        self._pace = pace
        self._patience = patience
        self._clock = clock
        self._swept = swept
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(16, min(_MOST_AT_ONCE, soft - _SPARE_FILES))
        self._epoll = select.epoll()
        self._open: dict[int, tuple[socket.socket, Address]] = {}
        self._knocks = deque[tuple[float, int, socket.socket]]()
        """In the order of knocking: (when, file, socket)."""
        self._lagged_at = float("-inf")

    def run(self) -> None:
        with self._epoll:
            turned = self._clock()
            while self._open or any(self._queues.values()):
                began = self._clock()
                self._notice_lag(began - turned, began)
                turned = began
                self._start_some(began)
                if self._hear():
                    self._give_up(began)

    def _notice_lag(self, away: float, now: float) -> None:
        self._swept.longest_lag = max(self._swept.longest_lag, away)
        if away > LAG_SECONDS:
            self._lagged_at = now

    def _start_some(self, now: float) -> None:
        """Knock where pace and files allow."""
        for area, queue in self._queues.items():
            room = min(len(queue), self._most - len(self._open), _STARTS_A_TURN)
            for _ in range(self._pace.take(area, room, now) if room > 0 else 0):
                self._knock(queue.popleft())

    def _knock(self, address: Address) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            knock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            self._swept.found[address] = Presence.UNKNOWN
            return
        code = knock.connect_ex((str(address), self._port))
        if code == errno.EINPROGRESS:
            number = knock.fileno()
            self._open[number] = knock, address
            self._knocks.append((self._clock(), number, knock))
            self._epoll.register(number, select.EPOLLOUT)
        else:
            self._end(knock, address, code)

    def _hear(self) -> bool:
        """Take in answers; says whether none is left lying."""
        events = self._epoll.poll(WAIT_SECONDS, _EVENTS_A_TURN)
        for number, event in events:
            knock, address = self._open.pop(number)
            failed = event & (select.EPOLLERR | select.EPOLLHUP)
            code = knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if failed else 0
            self._end(knock, address, code)
        return len(events) < _EVENTS_A_TURN

    def _end(self, knock: socket.socket, address: Address, code: int) -> None:
        if code == 0:
            knock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            presence = Presence.OPEN
        elif code == errno.ECONNREFUSED:
            presence = Presence.CLOSED
        else:
            presence = Presence.SILENT if code == errno.ETIMEDOUT else Presence.UNKNOWN
        knock.close()
        self._swept.found[address] = presence

    def _give_up(self, now: float) -> None:
        """End knocks that were due before the answers were looked at; after a lag nobody knows."""
        while self._knocks and self._knocks[0][0] + self._patience < now:
            at, number, knock = self._knocks.popleft()
            under_way = self._open.get(number)
            if under_way is None or under_way[0] is not knock:
                continue
            del self._open[number]
            knock.close()
            listened = self._lagged_at < at
            self._swept.found[under_way[1]] = Presence.SILENT if listened else Presence.UNKNOWN
