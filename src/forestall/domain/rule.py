"""A row of a decision table, as data: it prints itself, and a test can prove what no combination of facts can do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from forestall.domain.evidence import Status

Condition = bool | frozenset[Status]
"""What a fact must be: true, false, or (for the status) one of a set."""


Then = TypeVar("Then")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Then]):
    """One row: applies where every named fact is as `when` says."""

    name: str
    paragraph: str
    when: Mapping[str, Condition]
    then: Then
    meaning: str

    def applies(self, facts: tuple[object, ...]) -> bool:
        """Say whether every condition of the row holds for the named facts of a case."""
        for fact, wanted in self.when.items():
            value = getattr(facts, fact)
            if value not in wanted if isinstance(wanted, frozenset) else value is not wanted:
                return False
        return True


def conditions(
    known: Sequence[str], facts: Mapping[str, bool | frozenset[Status] | Status]
) -> dict[str, Condition]:
    """Write conditions on facts of these names.

    Raises:
        TypeError: a fact is none of them.
    """
    unknown = facts.keys() - set(known)
    if unknown:
        raise TypeError(f"no such fact: {sorted(unknown)}")
    return {name: frozenset({want}) if isinstance(want, Status) else want for name, want in facts.items()}
