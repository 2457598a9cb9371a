"""Virtual time: one heap of events, one source of chance."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import ParamSpec

_P = ParamSpec("_P")

BEGINNING = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
"""Every simulation begins on this Monday."""


class Timeline:
    """What happens when; events at the same instant happen in the order they were asked for."""

    __slots__ = ("_heap", "_number", "now", "random")

    def __init__(self, seed: int) -> None:
        self.now = BEGINNING
        self.random = Random(f"events {seed}")  # noqa: S311 - repeatable on purpose
        self._heap: list[tuple[datetime, int, Callable[..., object], tuple[object, ...]]] = []
        self._number = 0

    @property
    def happened(self) -> int:
        """Count the events so far."""
        return self._number - len(self._heap)

    def at(self, when: datetime, do: Callable[_P, object], *args: _P.args, **_: _P.kwargs) -> None:
        """Let something happen at an instant; one that has passed means now."""
        self._push(max(when, self.now), do, args)

    def after(self, wait: timedelta, do: Callable[_P, object], *args: _P.args, **_: _P.kwargs) -> None:
        """Let something happen after a while."""
        self._push(self.now + wait, do, args)

    def _push(self, when: datetime, do: Callable[..., object], args: tuple[object, ...]) -> None:
        self._number += 1
        heappush(self._heap, (when, self._number, do, args))

    def seconds(self, least: float, most: float) -> timedelta:
        """Draw a duration."""
        return timedelta(seconds=least + (most - least) * self.random.random())

    def chance(self, probability: float) -> bool:
        """Draw yes or no; no draw where the answer is certain, so that an absent fault changes nothing else."""
        return probability > 0 and self.random.random() < probability

    def run(self, until: datetime) -> None:
        """Let everything happen up to an instant."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, do, args = heappop(heap)
            do(*args)
        self.now = until
