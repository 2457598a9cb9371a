"""Many small companies, each with its own seed, judged by all invariants: small fleets and many seeds find most."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context

from forestall.simulate.company import make_company
from forestall.simulate.core import Core
from forestall.simulate.invariants import Violation, violations
from forestall.simulate.run import run
from forestall.simulate.scenario import DRIVEN, SCENARIOS, squeezed

DAYS = 16
_FEWEST, _SPREAD = 16, 21
_MANAGED = 0.5
"""Half of the machines are unmanaged: more removals, so that faults show sooner."""

SOMETIMES = (
    "a closed port nobody remembered was adopted",
    "a deposed scheduler did not act",
    "a deposed scheduler's intents were refused",
    "a final warning bounced",
    "a halted campaign went on",
    "a mail was refused",
    "a patch was withdrawn",
    "a port opened by others was noticed",
    "a repeated or overtaken report was ignored",
    "a restored backup was replayed",
    "a switch was caught lying",
    "an owner checked a machine",
    "counted down after a return",
    "forced by its own clock, out of reach",
    "halted because machines fell silent",
    "halted by itself",
    "held at the door until checked",
    "held by the caps at the switch",
    "held: removals-at-site",
    "held: restored-backup",
    "held: wave",
    "kept in the fix-it room at the door",
    "one person alone was refused",
    "patched within the quarter of an hour",
    "quarantine dropped right before",
    "restored while a machine was off the network",
    "the other scheduler took over",
    "two people raised the brake",
    "upgraded at the door",
    "warn dropped right before",
)
"""What must come about now and then, or the made-up world is too tame to prove anything."""

TAME_BELOW = 1_000
"""With fewer campaigns the rarest of these may be missing by chance."""


@dataclass(frozen=True, slots=True)
class Lived:
    """One campaign and what was wrong with it."""

    seed: int
    violations: tuple[Violation, ...]
    sometimes: Counter[str]


def live(seed: int, core: Core | None = None) -> Lived:
    """Let one company live through one scenario with the faults of its seed."""
    scenario = SCENARIOS[DRIVEN[seed % len(DRIVEN)]]
    company = make_company(_FEWEST + seed % _SPREAD, seed, _MANAGED)
    found = run(squeezed(scenario, DAYS), company, DAYS, seed, core=core)
    return Lived(seed, tuple(violations(found)), found.history.sometimes)


def soak(campaigns: int, first_seed: int = 1, jobs: int = 0) -> Iterator[Lived]:
    """Live through many campaigns, several at a time; in no particular order."""
    with get_context("fork").Pool(jobs or os.cpu_count()) as pool:
        yield from pool.imap_unordered(live, range(first_seed, first_seed + campaigns), chunksize=4)


def never_happened(seen: Counter[str]) -> list[str]:
    """List what should have come about and never did."""
    return [name for name in SOMETIMES if not seen[name]]
