"""Group commit: what arrives while a commit is under way is committed together by the next one.

Everybody is answered after the commit that holds his words. Nobody waits for others to come: a lone check-in is
committed at once, and under load the commits fill by themselves.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from forestall.domain.errors import StoreError

_Caller = TypeVar("_Caller")
_Reply = TypeVar("_Reply")

AT_ONCE = 500
"""One commit holds so many at most: it stays well below a second."""
MOST_WAITING = 5_000
MOST_BYTES = 64 * 1024 * 1024
"""So much waits at most, whoever sends it; the rest is asked to come again."""
_GIVE_UP_AFTER = 3
"""So many failures in a row are the database's and not the callers'."""


class Full(Exception):  # noqa: N818 - not an error of ours: an answer
    """So many wait already that this one should come again later."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[_Caller, _Reply]):
    caller: _Caller
    size: int
    reply: asyncio.Future[_Reply]


@dataclass(slots=True)
class GroupCommit(Generic[_Caller, _Reply]):
    """What one event loop has to commit, check-ins for example; `hear` commits and runs in a thread."""

    hear: Callable[[Sequence[_Caller]], Sequence[_Reply]]
    most: int = MOST_WAITING
    _waiting: deque[_Waiting[_Caller, _Reply]] = field(default_factory=deque)
    _bytes: int = 0
    _work: asyncio.Task[None] | None = None

    async def put(self, caller: _Caller, size: int) -> _Reply:
        """Wait for the commit that holds these words; `size` is the bytes it came in.

        Raises:
            Full: too many wait.
            ForestallError: it could not be kept, and nothing of it was.
        """
        if len(self._waiting) >= self.most or self._bytes + size > MOST_BYTES:
            raise Full
        reply: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(caller, size, reply))
        self._bytes += size
        if self._work is None:
            self._work = asyncio.create_task(self._commit_all())
        return await reply

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
                self._bytes -= sum(each.size for each in batch)
                replies = await asyncio.to_thread(_heard, self.hear, [each.caller for each in batch])
                for each, reply in zip(batch, replies, strict=True):
                    _hand_over(each.reply, reply)
        finally:
            self._work = None


def _hand_over(future: asyncio.Future[_Reply], reply: _Reply | Exception) -> None:
    if future.done():  # whoever asked has gone
        return
    if isinstance(reply, Exception):
        future.set_exception(reply)
    else:
        future.set_result(reply)


def _heard(
    hear: Callable[[Sequence[_Caller]], Sequence[_Reply]], callers: Sequence[_Caller]
) -> Sequence[_Reply | Exception]:
    """Hear all together; where that fails one by one, so that nobody fails for another."""
    try:
        return hear(callers)
    except Exception as error:  # noqa: BLE001 - it is the answer of whoever caused it, and of nobody else
        return [error] if len(callers) == 1 else _one_by_one(hear, callers)


def _one_by_one(
    hear: Callable[[Sequence[_Caller]], Sequence[_Reply]], callers: Sequence[_Caller]
) -> list[_Reply | Exception]:
    replies: list[_Reply | Exception] = []
    for caller in callers:
        last = replies[-_GIVE_UP_AFTER:]
        if len(last) == _GIVE_UP_AFTER and all(isinstance(each, StoreError) for each in last):
            replies.append(last[-1])
        else:
            replies += _heard(hear, [caller])
    return replies
