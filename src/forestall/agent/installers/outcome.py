"""What an installer answers."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether it worked, and one sentence for people."""

    done: bool
    detail: str


def listed(names: Iterable[str]) -> str:
    """Write names down for a person: the first eight, and how many more."""
    every = sorted(names)
    return ", ".join(every[:8]) + (f" and {len(every) - 8} more" if len(every) > 8 else "")
