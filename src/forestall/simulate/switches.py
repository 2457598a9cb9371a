"""Switches that close ports: slow, lying or out of reach for a while, and truthful when read."""

from dataclasses import dataclass, field
from datetime import timedelta

from forestall.simulate.core import Mark
from forestall.simulate.faults import Faults, within
from forestall.simulate.timeline import Timeline


@dataclass(slots=True)
class Switches:
    """All enforcement points of the company. A port is closed while it carries any mark."""

    timeline: Timeline
    faults: Faults
    closed: dict[Mark, None] = field(default_factory=dict[Mark, None])

    @property
    def reachable(self) -> bool:
        """Say whether they answer at all."""
        return not within(self.faults.switches_down, self.timeline.now)

    def set(self, mark: Mark, *, close: bool) -> bool | None:
        """Close or open a port; returns what the switch says: done, not done, or nothing (None)."""
        timeline, faults = self.timeline, self.faults
        if not self.reachable:
            return None
        stormy = timeline.now < faults.calm_at
        if stormy and timeline.chance(faults.switches_lie):
            honest_effect = timeline.chance(0.5)
            if honest_effect:
                self._apply(mark, close)
            return not honest_effect
        if stormy and timeline.chance(faults.switches_slow):
            timeline.after(timeline.seconds(6, 55), self._apply, mark, close)
            return None
        self._apply(mark, close)
        return True

    def open_by_hand(self) -> bool:
        """Somebody opens a closed port at the switch itself."""
        if not self.closed:
            return False
        mark = self.timeline.random.choice(sorted(self.closed))
        del self.closed[mark]
        return True

    def _apply(self, mark: Mark, close: bool) -> None:
        if close:
            self.closed[mark] = None
        else:
            self.closed.pop(mark, None)


CONFIRM_AFTER = timedelta(seconds=4)
"""A command is read back this much later."""
