"""Every invariant finds what it is there for: a good life is spoiled in one place."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from forestall.domain.campaign import Phase, halted
from forestall.domain.policy import DAY, HOUR, MINUTE
from forestall.domain.ring import Ring
from forestall.simulate.history import Effect, History, Kind, Release
from forestall.simulate.invariants import INVARIANTS, violations
from forestall.simulate.mutants import MUTANTS, hunt, summary
from forestall.simulate.people import PATCH
from forestall.simulate.run import Run
from forestall.simulate.server import Server

Spoil = Callable[[Run], Run]


def last(run: Run, kind: Kind) -> Effect:
    return [effect for effect in run.history.effects if effect.kind is kind][-1]


def spoiled(kind: Kind, **facts: Any) -> Spoil:
    """Put one effect with other facts behind the last of its kind."""

    def spoil(run: Run) -> Run:
        effects = [*run.history.effects, last(run, kind)._replace(**facts)]
        return replace(run, history=History(effects, run.history.releases))

    return spoil


def early(run: Run) -> Run:
    effect = last(run, Kind.FORCED)
    assert effect.deadline_at is not None
    return spoiled(Kind.FORCED, at=effect.deadline_at - MINUTE)(run)


def long_fixed(run: Run) -> Run:
    return spoiled(Kind.CLOSED, clean_since=last(run, Kind.CLOSED).at - HOUR)(run)


def restored(run: Run) -> Run:
    return spoiled(Kind.WARNED, restored_at=last(run, Kind.WARNED).at - HOUR)(run)


def stopped(run: Run) -> Run:
    return spoiled(Kind.FORCED, stopped_at=last(run, Kind.FORCED).at - 2 * MINUTE)(run)


def many(run: Run) -> Run:
    closed = last(run, Kind.CLOSED)
    effects = [closed._replace(intent=closed.intent and closed.intent._replace(round=n)) for n in range(100)]
    return replace(run, history=History([*run.history.effects, *effects]))


def kept(run: Run) -> Run:
    some = run.history.releases[0]
    release = Release(some.device, some.campaign, run.world.faults.calm_at + HOUR, None)
    return replace(run, history=History(run.history.effects, [release]))


def never_resumed(run: Run) -> Run:
    campaign = halted(run.world.campaigns[PATCH], "forgotten", run.world.faults.calm_at)
    return replace(run, world=replace(run.world, campaigns={PATCH: campaign}))


def deadline_missed(run: Run) -> Run:
    campaign = replace(run.world.campaigns[PATCH], phase=Phase.VOLUNTARY)
    return replace(run, world=replace(run.world, campaigns={PATCH: campaign}))


def ring_forgotten(run: Run) -> Run:
    """As if the rings had tested it, and it had gone to everybody with only the team's open."""
    tables = run.server.memory.tables.copy()
    tables.campaigns[PATCH] = replace(tables.campaigns[PATCH], ring=Ring.TEAM)
    tables.records = {key: record._replace(ring=Ring.BROAD) for key, record in tables.records.items()}
    spoilt = Server(
        run.server.timeline, replace(run.server.memory, tables=tables), run.server.core, run.history
    )
    spoilt.shared = run.server.shared
    return replace(run, server=spoilt)


def exemption_lost(run: Run) -> Run:
    exemptions = {mark: until + DAY for mark, until in run.world.exemptions.items()}
    return replace(run, world=replace(run.world, exemptions=exemptions))


@pytest.mark.parametrize(
    ("invariant", "spoil"),
    [
        pytest.param("S1", early, id="forced before the deadline"),
        pytest.param("S2", long_fixed, id="removed although fixed an hour ago"),
        pytest.param("S2", spoiled(Kind.CLOSED, shown_at=None), id="removed and never seen vulnerable"),
        pytest.param("S3", spoiled(Kind.CLOSED, protected=True), id="a protected machine removed"),
        pytest.param("S3", spoiled(Kind.CLOSED, exempt=True), id="an exempt machine removed"),
        pytest.param("S3", spoiled(Kind.CLOSED, warned_at=None), id="removed without an accepted warning"),
        pytest.param("S4", spoiled(Kind.CLOSED, again=True), id="closed once more"),
        pytest.param("S4", spoiled(Kind.WARNED, again=True), id="warned once more"),
        pytest.param("S5", spoiled(Kind.OPENED, recorded=False), id="let back and not written before"),
        pytest.param("S6", many, id="a hundred removals at once"),
        pytest.param("S7", spoiled(Kind.CLOSED, epoch=0), id="removed by a deposed scheduler"),
        pytest.param("S8", restored, id="warned on an older backup"),
        pytest.param("S8", exemption_lost, id="an exemption is gone after a replay"),
        pytest.param("S9", stopped, id="forced two minutes after a halt"),
        pytest.param("S10", ring_forgotten, id="installed on a machine whose ring is not open"),
        pytest.param("L2", kept, id="fixed and never let back"),
        pytest.param("L3", never_resumed, id="halted for ever"),
        pytest.param("L3", deadline_missed, id="a deadline that nobody kept"),
    ],
)
def test_a_spoiled_life_is_found(calm: Run, invariant: str, spoil: Spoil):
    assert violations(calm) == []
    assert invariant in {violation.invariant for violation in violations(spoil(calm))}


def test_every_invariant_says_what_it_asks_for():
    assert [check.__name__.upper() for check in INVARIANTS] == [
        *(f"S{n}" for n in range(1, 11)), "L1", "L2", "L3",
    ]  # fmt: skip
    assert all(check.__doc__ for check in INVARIANTS)


@pytest.mark.parametrize(
    ("name", "invariant"),
    [
        ("audit-after-effect", "S5"),
        ("release-forgotten", "L2"),
        ("no-cap", "S6"),
        ("unknown-is-affected", "S2"),
        ("double-round", "S4"),
        ("no-recheck", "S2"),
    ],
)
def test_a_planted_fault_is_found(name: str, invariant: str):
    """The quick ones; `forestall simulate mutants` hunts them all."""
    assert hunt(name, seeds=6).invariant == invariant


def test_every_planted_fault_says_what_is_wrong_and_at_most_two_are_masked():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 10
    assert all(mutant.what for mutant in MUTANTS)
    assert sum(bool(mutant.masked_by) for mutant in MUTANTS) <= 2


def test_what_nobody_found_and_nothing_masks_is_said():
    missed = hunt("no-fencing", seeds=1)
    told = summary([missed])
    assert (told["planted"], told["found"], told["masked_by"]) == (1, 0, {"no-fencing": "not explained"})
