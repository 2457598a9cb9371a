"""Wake-up streams (server-sent events): machines sleep on them, and are told to check in, and nothing else.

A sleeping machine costs its connection and little more: once it may sleep, the connection is taken from the web server,
with all that was kept to answer a request on it, and held here.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field

from forestall.domain.device import DeviceId
from forestall.protocol import LOOK_NOW, STILL_HERE_SECONDS

TakeOver = Callable[[asyncio.Protocol], asyncio.Transport]
"""Gives a connection away, to be answered on it by another protocol; it has answered nothing yet."""

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
_STILL_HERE = b":\n\n"
_MOST_UNREAD = 4_096
"""Bytes that a machine has not taken in."""
_AT_A_TIME = 100
"""Machines told before others have their turn."""


@dataclass(slots=True)
class Streams:
    """The streams of one event loop; `wake`, `sleeping` and `close` may be called from any thread."""

    most: int = 10_000
    _open: dict[DeviceId, "_Bed"] = field(default_factory=dict)
    _held: set["_Bed"] = field(default_factory=set)
    """All streams, those too that a newer one of the same machine has replaced and that have not ended yet."""
    _loop: asyncio.AbstractEventLoop | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _ticking: bool = False
    _closed: bool = False

    def full(self) -> bool:
        """Say whether there is no room for one more."""
        return self._closed or len(self._held) >= self.most

    def sleeping(self) -> list[DeviceId]:
        """List the machines that have a stream."""
        return list(self._open)

    def wake(self, devices: Iterable[DeviceId]) -> None:
        """Tell machines to look now; those without a stream hear it at their next check-in."""
        wanted = tuple(devices)
        self._from_anywhere(lambda: self._keep(self._say(wanted, LOOK_NOW)))

    def close(self) -> None:
        """End all streams, and take no more."""
        self._closed = True
        self._from_anywhere(self._empty)

    def hold(self, device: DeviceId, take_over: TakeOver) -> None:
        """Keep a machine's stream until one side ends it; a machine has one, the newest."""
        self._loop = asyncio.get_running_loop()
        bed = _Bed(device, self)
        transport = take_over(bed)
        if transport.is_closing():  # it went meanwhile
            return
        bed.lie_down(transport)
        if (old := self._open.get(device)) is not None:
            old.vanish()
        self._open[device] = bed
        self._held.add(bed)
        if not self._ticking:
            self._ticking = True
            self._keep(self._tick())

    def forget(self, bed: "_Bed") -> None:
        """A stream has ended."""
        self._held.discard(bed)
        if self._open.get(bed.device) is bed:
            del self._open[bed.device]

    def _empty(self) -> None:
        for bed in tuple(self._held):
            bed.leave()

    async def _tick(self) -> None:
        while self._open:
            await asyncio.sleep(STILL_HERE_SECONDS)
            await self._say(tuple(self._open), _STILL_HERE)
        self._ticking = False

    async def _say(self, devices: tuple[DeviceId, ...], what: bytes) -> None:
        for start in range(0, len(devices), _AT_A_TIME):
            for bed in filter(None, map(self._open.get, devices[start : start + _AT_A_TIME])):
                bed.say(what)
            await asyncio.sleep(0)

    def _keep(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _from_anywhere(self, work: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)


class _Bed(asyncio.Protocol):
    """One sleeping machine; it inherits because an event loop asks for a protocol. What it says is not read."""

    __slots__ = ("_streams", "_transport", "device")

    def __init__(self, device: DeviceId, streams: Streams) -> None:
        self.device, self._streams = device, streams
        self._transport: asyncio.Transport

    def lie_down(self, transport: asyncio.Transport) -> None:
        """Answer that the stream stands."""
        self._transport = transport
        transport.set_write_buffer_limits(_MOST_UNREAD)
        transport.write(_HEAD + _STILL_HERE)

    def say(self, what: bytes) -> None:
        """Say something, unless it has just ended."""
        if not self._transport.is_closing():
            self._transport.write(what)

    def leave(self) -> None:
        """End it; what was said before is still sent."""
        self._transport.close()

    def vanish(self) -> None:
        """End it at once: a newer one is there, and who says no goodbye must not keep its place."""
        self._transport.abort()

    def pause_writing(self) -> None:
        """End the stream of a machine that takes nothing in."""
        self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Let another one in."""
        self._streams.forget(self)
