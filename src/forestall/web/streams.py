"""Wake-up streams (server-sent events): machines sleep on them, and are told to check in, and nothing else.

A stream costs one task that waits for its machine to go. What is said to all is said by whoever wakes them.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.types import Message, Receive, Send

from forestall.domain.device import DeviceId
from forestall.protocol import LOOK_NOW, STILL_HERE_SECONDS

_STILL_HERE = b":\n\n"
_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]


@dataclass(slots=True)
class Streams:
    """The streams of one event loop; `wake`, `sleeping` and `close` may be called from any thread."""

    most: int = 10_000
    _open: dict[DeviceId, Send] = field(default_factory=dict)
    _held: int = 0
    """All streams, those too that a newer one of the same machine has replaced and that have not ended yet."""
    _loop: asyncio.AbstractEventLoop | None = None
    _ticking: asyncio.Task[None] | None = None
    _saying: dict[Send, asyncio.Task[None]] = field(default_factory=dict)
    _closed: bool = False

    def full(self) -> bool:
        """Say whether there is no room for one more."""
        return self._closed or self._held >= self.most

    def sleeping(self) -> list[DeviceId]:
        """List the machines that have a stream."""
        return list(self._open)

    def wake(self, devices: Iterable[DeviceId]) -> None:
        """Tell machines to look now; those without a stream hear it at their next check-in."""
        wanted = tuple(devices)
        self._from_anywhere(lambda: self._say(wanted, LOOK_NOW, more=True))

    def close(self) -> None:
        """End all streams, and take no more."""
        self._closed = True
        self._from_anywhere(lambda: self._say(tuple(self._open), b"", more=False))

    async def hold(self, device: DeviceId, receive: Receive, send: Send) -> None:
        """Keep a machine's stream until one side ends it; a machine has one, the newest."""
        self._loop = asyncio.get_running_loop()
        if device in self._open:
            self._say((device,), b"", more=False)
        self._open[device] = send
        self._held += 1
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await send(_part(_STILL_HERE, more=True))
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._held -= 1
            if self._open.get(device) is send:
                del self._open[device]

    async def _tick(self) -> None:
        while self._open:
            await asyncio.sleep(STILL_HERE_SECONDS)
            self._say(tuple(self._open), _STILL_HERE, more=True)
        self._ticking = None

    def _say(self, devices: Iterable[DeviceId], what: bytes, *, more: bool) -> None:
        # A task each: one whose machine takes nothing in holds up nobody, and is told nothing more.
        for send in filter(None, map(self._open.get, devices)):
            if send not in self._saying:
                self._saying[send] = asyncio.create_task(self._said(send, what, more=more))

    async def _said(self, send: Send, what: bytes, *, more: bool) -> None:
        try:
            with suppress(RuntimeError):  # one that is just ending takes no more
                await send(_part(what, more=more))
        finally:
            del self._saying[send]

    def _from_anywhere(self, work: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)


def _part(what: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": what, "more_body": more}
