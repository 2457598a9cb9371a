"""One server process: it may be stopped, killed and started again, and acts under the lease it believes to hold."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from forestall.simulate.memory import Lease
from forestall.simulate.timeline import Timeline


@dataclass(slots=True)
class Process:
    """A process and what it was about to do."""

    name: str
    timeline: Timeline
    epoch: int = 0
    life: int = 0
    stopped_until: datetime | None = None

    @property
    def lease(self) -> Lease:
        """The right to act as this process believes to hold it."""
        return Lease(self.name, self.epoch)

    def later(self, wait: timedelta, do: Callable[..., None], *args: object) -> None:
        """Go on after a while: not at all when killed by then, later when stopped."""
        self.timeline.after(wait, self._go_on, self.life, do, args)

    def _go_on(self, life: int, do: Callable[..., None], args: tuple[object, ...]) -> None:
        if life != self.life:
            return
        if self.stopped_until is not None:
            self.timeline.at(self.stopped_until, self._go_on, life, do, args)
        else:
            do(*args)
