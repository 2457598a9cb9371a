"""How many machines nobody sees: capture and recapture from two sources that do not know of each other.

Chapman's estimator with its variance (Chapman 1951; Seber 1970); the interval is log-normal around what was not
seen (Burnham), so it never falls below what was seen. Sources that tend to see the same machines make it too low.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import exp, log, sqrt

from forestall.domain.device import DeviceId
from forestall.domain.sighting import Source

_KIN = (
    frozenset({Source.NEIGHBOUR, Source.FORWARDING, Source.SWEEP}),
    frozenset({Source.LEASE, Source.NEIGHBOUR}),
    # Both know only what is at switches that somebody has connected, and miss the same forgotten one.
    frozenset({Source.FORWARDING, Source.LOGIN}),
    # A word is matched with hardware only by what names the holder of an address: these never do, so that one machine
    # counts as two.
    frozenset({Source.CHECK_IN, Source.FORWARDING}),
    # What the company bought stands in its list and gets an agent.
    frozenset({Source.CHECK_IN, Source.BOOKS}),
)
"""Sources that see because of the same traffic, or cannot be matched: together they estimate nothing."""

_QUANTILE = 1.96
"""Of the normal distribution, for 95 %."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many machines there are, by two sources; `low` and `high` bound it with 95 %."""

    first: Source
    second: Source
    by_first: int
    by_second: int
    by_both: int
    seen: int
    machines: float
    low: float
    high: float

    @property
    def unseen(self) -> float:
        """How many of them neither source has seen."""
        return self.machines - self.seen


def chapman(by_first: int, by_second: int, by_both: int) -> tuple[float, float, float]:
    """Estimate a population from two counts and their overlap: the estimate and its 95 % interval."""
    seen = by_first + by_second - by_both
    machines = (by_first + 1) * (by_second + 1) / (by_both + 1) - 1
    variance = (
        (by_first + 1) * (by_second + 1) * (by_first - by_both) * (by_second - by_both)
        / ((by_both + 1) ** 2 * (by_both + 2))
    )  # fmt: skip
    unseen = machines - seen
    if unseen <= 0:
        return float(seen), float(seen), float(seen)
    spread = exp(_QUANTILE * sqrt(log(1 + variance / unseen**2)))
    return machines, seen + unseen / spread, seen + unseen * spread


def estimates(seen_by: Mapping[Source, frozenset[DeviceId]]) -> list[Estimate]:
    """Estimate by every pair of independent sources, the largest number first; sources without machines say nothing."""
    found = list[Estimate]()
    for first, second in combinations(sorted(source for source in seen_by if seen_by[source]), 2):
        if any({first, second} <= kin for kin in _KIN):
            continue
        one, other = seen_by[first], seen_by[second]
        machines, low, high = chapman(len(one), len(other), len(one & other))
        found.append(
            Estimate(
                first, second, len(one), len(other), len(one & other), len(one | other), machines, low, high
            )
        )
    return sorted(found, key=lambda each: -each.machines)
