"""A small satisfiability search over rows as data: does any case lie in this cube and outside of those?

A cube gives each fact it names a set of values. `find` returns one case, or None when there is none: a proof over
all 2^35 x 5 combinations of facts, not a sample.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from forestall.domain.case import Case
from forestall.domain.evidence import Status
from forestall.domain.rule import Rule

Cube = Mapping[str, frozenset[Any]]

ALL: dict[str, frozenset[Any]] = {
    fact: frozenset(Status) if fact == "status" else frozenset({False, True}) for fact in Case._fields
}


def cube(**facts: Any) -> Cube:
    return {
        fact: wanted if isinstance(wanted, frozenset) else frozenset({wanted})
        for fact, wanted in facts.items()
    }


def cube_of(rule: Rule[Any]) -> Cube:
    return cube(**rule.when)


LAWS: dict[str, Cube] = {
    "only a managed machine loses its agent": cube(lost=True, managed=False),
    "contradiction is unknown": cube(conflict=True, status=frozenset(Status) - {Status.UNKNOWN}),
    "only a contradiction lasts too long": cube(conflict_long=True, conflict=False),
    "a countdown that runs has begun": cube(counting_down=True, counted_down=False),
    "an accepted warning was sent": cube(warned=True, warning=False),
    "a refused warning was sent": cube(refused=True, warning=False),
    "a warning is not accepted and refused": cube(warned=True, refused=True),
    "only a warned machine is due for its re-check": cube(recheck_due=True, warned=False),
    "no re-check counts before it is due": cube(rechecked=True, recheck_due=False),
    "a re-check says something": cube(rechecked=True, status=Status.UNKNOWN),
    "only a removed machine is held": cube(held_long=True, quarantined=False),
    "a campaign ends once": cube(withdrawn=True, closed=True),
    "an imminent threat is a deadline that has passed": cube(imminent=True, overdue=False),
    "there is no deadline before distribution": cube(overdue=True, distributed=False),
    "a ring tests before the distribution": cube(trying=True, distributed=True),
    "a forced machine has its order": cube(forced=True, offered=False),
}
"""What no case ever shows; `test_case` holds `case_of` to it."""

PHYSICS: Sequence[Cube] = tuple(LAWS.values())


def find(inside: Cube, outside: Iterable[Cube] = ()) -> Case | None:
    """Find a case inside one cube and outside all others."""
    room = _search({**ALL, **{f: ALL[f] & v for f, v in inside.items()}}, list(outside))
    return None if room is None else Case(**{fact: next(iter(values)) for fact, values in room.items()})


def _search(room: dict[str, frozenset[Any]], outside: list[Cube]) -> dict[str, frozenset[Any]] | None:
    if not all(room.values()):
        return None
    touching = [each for each in outside if all(room[f] & v for f, v in each.items())]
    if not touching:
        return room
    # The cube that leaves the fewest ways out comes first: it prunes most.
    blocker = min(touching, key=lambda each: sum(not room[f] <= v for f, v in each.items()))
    rest = dict(room)
    for fact, values in blocker.items():
        if found := _search({**rest, fact: rest[fact] - values}, touching):
            return found
        rest[fact] &= values
    return None


def holds(inside: Cube, case: Case) -> bool:
    return all(getattr(case, fact) in values for fact, values in inside.items())


def winning(table: Sequence[Rule[Any]], index: int) -> list[Cube]:
    """All that a case must stay out of for row `index` to be the first that applies."""
    return [cube_of(rule) for rule in table[:index]]


def cases_with(table: Sequence[Rule[Any]], then: Any, given: Cube) -> Case | None:
    """Find a case, possible or not, in which the table says `then` although `given` holds."""
    for index, rule in enumerate(table):
        if rule.then is not then:
            continue
        inside = cube_of(rule)
        both = {f: inside.get(f, ALL[f]) & given.get(f, ALL[f]) for f in {*inside, *given}}
        if found := find(both, winning(table, index)):
            return found
    return None


def overlaps(table: Sequence[Rule[Any]]) -> list[tuple[str, str]]:
    """List the neighbours of which both apply to some possible case that no earlier row takes."""
    found = []
    for index, (first, second) in enumerate(pairwise(table)):
        one, two = cube_of(first), cube_of(second)
        both = {f: one.get(f, ALL[f]) & two.get(f, ALL[f]) for f in {*one, *two}}
        if find(both, [*winning(table, index), *PHYSICS]):
            found.append((first.name, second.name))
    return found
