"""Levels, and the table that gives one from the worst of the three E's, exploitation and reach (P2.2-P2.4)."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import permutations, product

from forestall.domain.advisory import Exploitation
from forestall.domain.cvss import Reach
from forestall.domain.errors import InputError


class Level(StrEnum):
    """How dangerous (P2.2-P2.4), worst first."""

    CRITICAL = "critical"
    WARNING = "warning"
    CAUTION = "caution"


class Effect(StrEnum):
    """The worst of the three E's that an attack brings (P2.2), worst first."""

    EXPANSION = "expansion"
    ESCALATION = "escalation"
    EXPOSURE = "exposure"
    NONE = "none"


LevelTable = Mapping[tuple[Effect, Exploitation], tuple[Level, ...]]
"""Rows of one level for each `Reach` in its order: open, guarded, local."""


def severity(level: Level) -> int:
    """Give a level as a number; greater is worse."""
    return -list(Level).index(level)


def level_of(table: LevelTable, effect: Effect, exploitation: Exploitation, reach: Reach) -> Level:
    """Look a level up."""
    return table[effect, exploitation][list(Reach).index(reach)]


def check_table(table: LevelTable) -> LevelTable:
    """Return the table if it has every row and worse inputs never give a milder level.

    Raises:
        InputError: it has a gap or is not monotone; the row is named.
    """
    for effect, exploitation in product(Effect, Exploitation):
        if len(table.get((effect, exploitation), ())) != len(Reach):
            raise InputError(
                f"level table: row ({effect}, {exploitation}) must have {len(Reach)} levels: {', '.join(Reach)}"
            )
    for worse, milder in permutations(product(Effect, Exploitation, Reach), 2):
        if _dominates(worse, milder) and severity(level_of(table, *worse)) < severity(
            level_of(table, *milder)
        ):
            raise InputError(
                f"level table: ({', '.join(worse)}) is worse than ({', '.join(milder)})"
                f" but only {level_of(table, *worse)}, not {level_of(table, *milder)}"
            )
    return table


def _dominates(first: tuple[Effect, Exploitation, Reach], second: tuple[Effect, Exploitation, Reach]) -> bool:
    """Tell whether no input of the first is better than the second's."""
    return all(mine >= other for mine, other in zip(_badness(*first), _badness(*second), strict=True))


def _badness(effect: Effect, exploitation: Exploitation, reach: Reach) -> tuple[int, int, int]:
    """Give each input as a number; greater is worse."""
    return (
        -list(Effect).index(effect),
        list(Exploitation).index(exploitation),
        -list(Reach).index(reach),
    )


_C, _W, _O = Level.CRITICAL, Level.WARNING, Level.CAUTION

LEVELS = check_table(
    {
        #                                              open guarded local
        (Effect.EXPANSION, Exploitation.ACTIVE): (_C, _C, _C),
        (Effect.EXPANSION, Exploitation.POC): (_C, _C, _C),
        (Effect.EXPANSION, Exploitation.NONE): (_C, _W, _W),
        (Effect.ESCALATION, Exploitation.ACTIVE): (_C, _C, _C),
        (Effect.ESCALATION, Exploitation.POC): (_C, _C, _C),
        (Effect.ESCALATION, Exploitation.NONE): (_C, _W, _W),
        (Effect.EXPOSURE, Exploitation.ACTIVE): (_C, _C, _W),
        (Effect.EXPOSURE, Exploitation.POC): (_C, _W, _W),
        (Effect.EXPOSURE, Exploitation.NONE): (_C, _W, _W),
        (Effect.NONE, Exploitation.ACTIVE): (_C, _C, _W),
        (Effect.NONE, Exploitation.POC): (_W, _W, _W),
        (Effect.NONE, Exploitation.NONE): (_W, _W, _O),
    }
)
"""The proposal's table. Calibrated on historic cases: tests/domain/test_rating.py."""
