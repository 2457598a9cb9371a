"""Group commit: answered after a commit, together where they came together, and nobody fails for another."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from certificates import certificate
from domain.made import START
from forestall import protocol
from forestall.domain.errors import StoreError
from forestall.domain.identity import Recognition
from forestall.server.check_ins import Caller, Reply
from forestall.web.group_commit import MOST_BYTES, Full, GroupCommit

SAY = protocol.CheckIn("1", "b", 1, "0" * 64, [])


def caller(name: str) -> Caller:
    return Caller(certificate(name, START), SAY)


@dataclass
class Store:
    """Commits when it is let, and remembers who was committed together."""

    refused: frozenset[str] = frozenset()
    away: bool = False
    commits: list[list[str]] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    let: threading.Event = field(default_factory=threading.Event)

    def hear(self, callers: Sequence[Caller]) -> list[Reply]:
        self.begun.set()
        assert self.let.wait(60)
        names = [str(each.certificate.device) for each in callers]
        self.commits.append(names)
        if self.away or self.refused & set(names):
            raise StoreError("refused")
        return [Recognition.STRANGER for _ in callers]


async def burst(queue: GroupCommit, store: Store, names: Sequence[str]) -> list[object]:
    """Let the first begin, then all others come while its commit is under way."""
    first = asyncio.create_task(queue.put(caller("first"), 1))
    await asyncio.to_thread(store.begun.wait, 60)
    others = [asyncio.create_task(queue.put(caller(name), 1)) for name in names]
    await asyncio.sleep(0)  # each of them runs until it waits
    store.let.set()
    return list(await asyncio.gather(first, *others, return_exceptions=True))


def test_a_lone_one_is_committed_at_once_and_those_who_come_meanwhile_together():
    store = Store()
    names = [f"m{n}" for n in range(20)]
    replies = asyncio.run(burst(GroupCommit(store.hear), store, names))
    assert store.commits == [["first"], names]
    assert replies == [Recognition.STRANGER] * 21


def test_a_bad_one_fails_alone():
    store = Store(refused=frozenset({"m3"}))
    replies = asyncio.run(burst(GroupCommit(store.hear), store, [f"m{n}" for n in range(6)]))
    assert [type(reply) for reply in replies] == [Recognition] * 4 + [StoreError] + [Recognition] * 2


def test_a_database_that_is_away_is_not_asked_for_each_of_many():
    store = Store(away=True)
    replies = asyncio.run(burst(GroupCommit(store.hear), store, [f"m{n}" for n in range(100)]))
    assert all(isinstance(reply, StoreError) for reply in replies)
    assert len(store.commits) == 1 + 1 + 3, "the first, the batch, and three alone"


@pytest.mark.parametrize(
    ("most", "size"), [pytest.param(2, 1, id="too many"), pytest.param(99, MOST_BYTES, id="too long")]
)
def test_a_full_queue_takes_nobody_and_loses_nobody(most: int, size: int):
    async def scene() -> list[object]:
        store = Store()
        queue = GroupCommit(store.hear, most)
        first = asyncio.create_task(queue.put(caller("first"), 1))
        await asyncio.to_thread(store.begun.wait, 60)
        waiting = [asyncio.create_task(queue.put(caller(name), 1)) for name in ("a", "b")]
        await asyncio.sleep(0)
        with pytest.raises(Full):
            await queue.put(caller("late"), size)
        store.let.set()
        replies = list(await asyncio.gather(first, *waiting))
        return [*replies, await queue.put(caller("again"), 1)]

    assert asyncio.run(scene()) == [Recognition.STRANGER] * 4


def test_whoever_hangs_up_keeps_nobody_from_an_answer():
    async def scene() -> object:
        store = Store()
        queue = GroupCommit(store.hear)
        gone = asyncio.create_task(queue.put(caller("gone"), 1))
        await asyncio.to_thread(store.begun.wait, 60)
        stays = asyncio.create_task(queue.put(caller("stays"), 1))
        await asyncio.sleep(0)
        gone.cancel()
        store.let.set()
        return await stays

    assert asyncio.run(scene()) is Recognition.STRANGER
