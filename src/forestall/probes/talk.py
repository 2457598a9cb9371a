"""Carries out many conversations at once: one loop, everything bounded in bytes, time and pace.

Nothing leaves for an address that the scope does not name. A machine is talked to by one probe at a time.
"""

import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import NamedTuple

from forestall.clock import stopwatch
from forestall.domain.address import Address, read_address
from forestall.domain.scope import Area, Scope
from forestall.probes.answer import Answer, Ask, Conversation, Ended, Heard, unknown
from forestall.probes.pace import WAIT_SECONDS, Pace

AT_ONCE = 400
MOST_BYTES = 32_768
"""Of one answer; what comes beyond is not read."""
MOST_QUESTIONS = 12
QUESTION_SECONDS = 1.5
CONVERSATION_SECONDS = 6.0
_READ_BYTES = 8_192


class Wanted(NamedTuple):
    """One conversation to carry out."""

    probe: str
    address: str
    port: int
    conversation: Conversation
    datagrams: bool = False
    """UDP; else TCP."""


class Result(NamedTuple):
    """What came of a wanted conversation. `reached`: the machine itself gave a sign of life."""

    wanted: Wanted
    answer: Answer
    reached: bool


def talk_all(
    wanted: Sequence[Wanted], scope: Scope, clock: Callable[[], float] = stopwatch
) -> Iterator[Result]:
    """Carry out conversations and yield their results as they come; addresses out of scope get no packet."""
    loop = _Loop(clock)
    for each in wanted:
        address = read_address(each.address)
        area = scope.area_of(address) if address else None
        if address is None or area is None:
            yield Result(
                each, unknown(f"{each.address[:60]} is in no scope: nothing was sent"), reached=False
            )
        else:
            loop.add(each, address, area)
    with contextlib.closing(loop):
        yield from loop.run()


@dataclass(slots=True, eq=False)
class _Line:
    """One conversation under way."""

    wanted: Wanted
    address: Address
    area: Area
    ends_at: float
    ask: Ask
    socket: socket.socket
    heard: list[Heard] = field(default_factory=list[Heard])
    got: bytearray = field(default_factory=bytearray)
    out: bytes = b""
    until: float = 0.0
    connected: bool = False
    reached: bool = False


class _Loop:
    """Starts, advances and ends conversations until none is left."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pace = Pace()
        self._selector = DefaultSelector()
        self._queues: dict[Area, deque[Address]] = {}
        self._waiting: dict[Address, deque[tuple[Wanted, Area]]] = {}
        self._lines: set[_Line] = set()
        self._done: list[Result] = []

    def close(self) -> None:
        for line in self._lines:
            line.socket.close()
        self._selector.close()

    def add(self, wanted: Wanted, address: Address, area: Area) -> None:
        if address not in self._waiting:
            self._waiting[address] = deque()
            self._queues.setdefault(area, deque()).append(address)
        self._waiting[address].append((wanted, area))

    def run(self) -> Iterator[Result]:
        while self._lines or any(self._queues.values()):
            self._start_some()
            began = self._clock()
            rest = WAIT_SECONDS if any(self._queues.values()) else 0.05
            for key, _ in self._selector.select(rest):
                self._advance(key.data)
            # Only what was due before the look at the sockets: an answer that lay there was taken, however late.
            for line in [line for line in self._lines if min(line.until, line.ends_at) < began]:
                self._over(line, Ended.SILENT)
            yield from self._done
            self._done.clear()

    def _start_some(self) -> None:
        now = self._clock()
        for area, queue in self._queues.items():
            room = min(len(queue), AT_ONCE - len(self._lines))
            for _ in range(self._pace.take(area, room, now) if room > 0 else 0):
                address = queue.popleft()
                wanted, _ = self._waiting[address].popleft()
                self._begin(wanted, address, area, now)

    def _begin(self, wanted: Wanted, address: Address, area: Area, now: float) -> None:
        first = _step(wanted.conversation, ())
        line = _Line(
            wanted, address, area, now + CONVERSATION_SECONDS, Ask(b"", bool), _socket(wanted, address)
        )
        self._lines.add(line)
        if isinstance(first, Answer):
            self._finish(line, first)
        else:
            self._connect(line, first)

    def _connect(self, line: _Line, ask: Ask) -> None:
        line.connected = False
        code = line.socket.connect_ex((str(line.address), line.wanted.port))
        if code not in {0, errno.EINPROGRESS}:
            self._failed(line, code)
            return
        self._selector.register(line.socket, EVENT_WRITE, line)
        self._put(line, ask)

    def _put(self, line: _Line, ask: Ask) -> None:
        line.ask, line.out, line.until = ask, ask.send, self._clock() + QUESTION_SECONDS
        line.got.clear()
        if line.connected:
            self._selector.modify(line.socket, EVENT_WRITE if line.out else EVENT_READ, line)

    def _advance(self, line: _Line) -> None:
        try:
            if not line.connected:
                if code := line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._failed(line, code)
                    return
                line.connected = True
                line.reached = line.reached or not line.wanted.datagrams
            if line.out:
                line.out = line.out[line.socket.send(line.out) :]
            elif data := line.socket.recv(_READ_BYTES):
                self._take(line, data)
                return
            else:
                self._over(line, Ended.CLOSED)
                return
            if not line.out:
                self._selector.modify(line.socket, EVENT_READ, line)
        except BlockingIOError:
            self._selector.modify(line.socket, EVENT_WRITE if line.out else EVENT_READ, line)
        except OSError as error:
            if line.wanted.datagrams or error.errno not in {errno.ECONNRESET, errno.EPIPE}:
                self._failed(line, error.errno or 0)
            else:
                self._over(line, Ended.CLOSED)

    def _take(self, line: _Line, data: bytes) -> None:
        line.reached = True
        line.got += data[: MOST_BYTES - len(line.got)]
        if line.wanted.datagrams or _is_complete(line):
            self._over(line, Ended.COMPLETE)
        elif len(line.got) >= MOST_BYTES:
            self._over(line, Ended.FULL)

    def _over(self, line: _Line, ended: Ended) -> None:
        """Go on after an answer, or after none."""
        if not line.connected:
            self._finish(line, unknown("nobody answered in time"))
            return
        line.heard.append(Heard(bytes(line.got), ended))
        step = _step(line.wanted.conversation, tuple(line.heard))
        if isinstance(step, Answer):
            self._finish(line, step)
        elif len(line.heard) >= MOST_QUESTIONS or line.ends_at < self._clock():
            self._finish(line, unknown("the conversation took too long"))
        elif step.fresh:
            self._selector.unregister(line.socket)
            line.socket.close()
            line.socket = _socket(line.wanted, line.address)
            self._pace.spend(line.area, self._clock())
            self._connect(line, step)
        elif ended is Ended.CLOSED:
            line.got.clear()
            self._over(line, Ended.CLOSED)
        else:
            self._put(line, step)

    def _failed(self, line: _Line, code: int) -> None:
        """End a conversation that could not be had; a refusal is a sign of life."""
        if code == errno.ECONNREFUSED:
            line.reached = True
            self._finish(line, unknown(f"nothing listens on port {line.wanted.port}"))
        else:
            self._finish(line, unknown(f"no connection: {os.strerror(code)}"))

    def _finish(self, line: _Line, answer: Answer) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(line.socket)
        line.socket.close()
        self._lines.remove(line)
        self._done.append(Result(line.wanted, answer, line.reached))
        if self._waiting[line.address]:
            self._queues[line.area].append(line.address)


def _socket(wanted: Wanted, address: Address) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    kind = socket.SOCK_DGRAM if wanted.datagrams else socket.SOCK_STREAM
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    if not wanted.datagrams:
        # Closing says goodbye at once: no port of ours waits for minutes, no flood is waited out.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE_CLOSED)
    return made


_AT_ONCE_CLOSED = (1).to_bytes(4, "little") + bytes(4)


def _is_complete(line: _Line) -> bool:
    """Ask whether this is all; a test that fails leaves the answer to the conversation."""
    try:
        return line.ask.complete(bytes(line.got))
    except Exception:  # noqa: BLE001 - as in `_step`
        return True


def _step(conversation: Conversation, heard: tuple[Heard, ...]) -> Ask | Answer:
    try:
        return conversation(heard)
    except Exception as error:  # noqa: BLE001 - what one machine says must not stop the others
        said = heard[-1].data if heard else b""
        return unknown(f"the probe failed on this answer ({type(error).__name__}); please report it", said)
