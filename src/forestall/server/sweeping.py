"""Sweeps of the whole scope: whoever answers is a sighting (P6.2)."""

from dataclasses import dataclass
from datetime import datetime

from forestall.domain.scope import Scope
from forestall.domain.sighting import Sighting, Source
from forestall.probes.sweep import HERE, Presence, sweep
from forestall.server.finding import take_in
from forestall.store.database import Database


@dataclass(frozen=True, slots=True)
class Sweeping:
    """What came of a sweep."""

    counts: dict[Presence, int]
    seconds: float
    machines: int
    new: int


def sweep_scope(database: Database, scope: Scope, port: int, actor: str, now: datetime) -> Sweeping:
    """Knock on one port everywhere and take in who answered."""
    areas = dict(scope.addresses())
    swept = sweep(areas, port, scope)
    seen = [
        Sighting(Source.SWEEP, areas[address].site, now, address=str(address))
        for address, presence in swept.found.items()
        if presence in HERE
    ]
    taken = take_in(database, seen, actor, now)
    return Sweeping(dict(swept.counts), swept.seconds, taken.machines, len(taken.new))
