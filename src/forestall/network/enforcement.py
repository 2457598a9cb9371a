"""All enforcement points together: one machine off or back, everything read, everything freed.

The second brake stands here (A8): whatever was decided elsewhere, no more than a few closings a minute leave this
process, and each point refuses what it must refuse by what it reads itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from forestall.clock import stopwatch
from forestall.network.point import (
    ELSEWHERE,
    LATER,
    Answer,
    Plan,
    Point,
    Reason,
    Refusal,
    Sight,
    Target,
    listed,
    serves,
)

_AT_ONCE = 32
"""Points spoken to at the same time."""
_FREE_SECONDS = 180.0
"""For one point when the glass is broken: a switch that answers, and takes this long, is looked after by a person."""
_EVERYWHERE = "all points"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Removed:
    """A machine is off: these plans were sent and read back."""

    plans: tuple[Plan, ...]


@dataclass(slots=True)
class Pace:
    """Counts closings of the last minute."""

    a_minute: int
    _at: deque[float] = field(default_factory=deque[float])

    def take(self) -> bool:
        """Take one, where one is left."""
        now = stopwatch()
        while self._at and self._at[0] <= now - 60:
            self._at.popleft()
        if len(self._at) >= self.a_minute:
            return False
        self._at.append(now)
        return True


async def look_at(points: Sequence[Point], *, marks_only: bool = False) -> dict[str, Sight | Refusal]:
    """Look at many points, some at a time: name -> what was seen."""
    found = await _each([partial(point.look, marks_only=marks_only) for point in points])
    return {point.name: sight for point, sight in zip(points, found, strict=True)}


def choose(answers: Sequence[Answer]) -> tuple[Plan, ...] | Refusal:
    """Decide from all points' answers: one that must not leaves the machine alone everywhere; else those that can.

    A refusal of a point that does not have the machine counts only where no point has it.
    """
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    plans = tuple(answer for answer in answers if isinstance(answer, Plan))
    for refusal in refusals:
        if refusal.reason not in ELSEWHERE | LATER or refusal.reason is Reason.CAP:
            return refusal
    if plans:
        return plans
    order = (
        Reason.UNREACHABLE,
        Reason.TRUNK,
        Reason.UPLINK,
        Reason.OWN_PATH,
        Reason.NOT_SEEN,
        Reason.NO_ADDRESS,
    )
    ranked = sorted(refusals, key=lambda refusal: order.index(refusal.reason))
    return (
        ranked[0] if ranked else Refusal(Reason.NO_POINT, _EVERYWHERE, "no enforcement point serves its site")
    )


async def preview(
    points: Sequence[Point], target: Target, protected: AbstractSet[str]
) -> tuple[Plan, ...] | Refusal:
    """Say what would be sent for a machine; nothing is."""
    sights = await look_at([point for point in points if serves(point, target.site)])
    answers: list[Answer] = []
    for sight in sights.values():
        answers += [sight] if isinstance(sight, Refusal) else sight.close(target, protected)
    return choose(answers)


async def remove(
    points: Sequence[Point], target: Target, protected: AbstractSet[str], pace: Pace, *, simulate: bool
) -> Removed | Refusal:
    """Take a machine off at every port where it is seen now; what was sent has been read back."""
    plans = await preview(points, target, protected)
    if isinstance(plans, Refusal):
        return plans
    if simulate:
        return Refusal(Reason.SIMULATE, _EVERYWHERE, f"would have sent {listed(plans)}")
    if any(plan.steps for plan in plans) and not pace.take():
        return Refusal(Reason.CAP, _EVERYWHERE, f"{pace.a_minute} closings in the last minute")
    return await sent(points, plans)


async def sent(points: Sequence[Point], plans: Sequence[Plan]) -> Removed | Refusal:
    """Send plans in order; a point that turns out not to have the machine does not matter where another has."""
    by_name = {point.name: point for point in points}
    done: list[Plan] = []
    missed: Refusal | None = None
    for plan in plans:
        trouble = await by_name[plan.point].send(plan)
        if trouble is None:
            done.append(plan)
        elif trouble.reason is Reason.NOT_SEEN:
            missed = trouble
        else:
            return trouble
    return Removed(tuple(done)) if done or missed is None else missed


async def restore(
    points: Sequence[Point], target: Target, sights: Mapping[str, Sight | Refusal]
) -> Removed | Refusal:
    """Let a machine back for one campaign, wherever its mark is.

    A point that does not answer matters only where no other had the mark: it may be there.
    """
    plans = [
        plan for sight in sights.values() if not isinstance(sight, Refusal) for plan in sight.release(target)
    ]
    silent = next((sight for sight in sights.values() if isinstance(sight, Refusal)), None)
    if silent is not None and not any(plan.steps for plan in plans):
        return silent
    result = await sent(points, plans)
    return Removed(()) if isinstance(result, Refusal) and result.reason is Reason.NOT_SEEN else result


@dataclass(frozen=True, slots=True)
class Freed:
    """One place that carried our mark; `trouble` says why it is still closed."""

    point: str
    place: str
    device: str
    campaigns: tuple[str, ...]
    trouble: str = ""


async def free(
    points: Sequence[Point], wanted: Callable[[str], bool] = lambda _device: True
) -> tuple[list[Freed], list[Refusal]]:
    """Free every place with our mark, by the points' own lists alone; returns also the points that did not answer.

    No point holds up the others for long: one that takes too long, or falls silent half-way, is named and left. What
    carries no mark any more is not touched again, so whoever runs it again goes on where it ended.
    """
    freed: list[Freed] = []
    silent = await _each([partial(_free_within, point, wanted, freed) for point in points])
    by_point = {point.name: number for number, point in enumerate(points)}
    return sorted(freed, key=lambda each: by_point[each.point]), [each for each in silent if each is not None]


async def _free_within(point: Point, wanted: Callable[[str], bool], freed: list[Freed]) -> Refusal | None:
    try:
        async with asyncio.timeout(_FREE_SECONDS):
            return await _free_at(point, wanted, freed)
    except TimeoutError:
        return Refusal(Reason.UNREACHABLE, point.name, f"not done within {_FREE_SECONDS:.0f} s")


async def _free_at(point: Point, wanted: Callable[[str], bool], freed: list[Freed]) -> Refusal | None:
    """Free a point's places one after the other: they share lists of ports, which are read and written back."""
    sight = await point.look(marks_only=True)
    if isinstance(sight, Refusal):
        return sight
    for mark in sight.marks():
        if not wanted(mark.device):
            continue
        trouble: Refusal | None = None
        for plan in sight.free({mark.place}):
            trouble = await point.send(plan)
        freed.append(Freed(point.name, mark.place, mark.device, mark.campaigns, str(trouble or "")))
        if trouble is not None and trouble.reason is Reason.UNREACHABLE:
            return trouble
    return None


async def _each(works: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
    """Do all, some at a time; results in order."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(work: Callable[[], Awaitable[_T]]) -> _T:
        async with gate:
            return await work()

    return list(await asyncio.gather(*map(one, works)))
