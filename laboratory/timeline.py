"""What happened, with the seconds since the start; printed as it happens."""

from dataclasses import dataclass, field

from forestall.clock import stopwatch


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the timeline."""

    seconds: float
    event: str


@dataclass(slots=True)
class Timeline:
    """Collects happenings; a quiet one prints nothing until the end."""

    quiet: bool
    started: float = field(default_factory=stopwatch)
    happenings: list[Happening] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    """What was measured on the way, by name."""

    def tell(self, event: str) -> None:
        """Write down that this happened now."""
        self.happenings.append(Happening(round(stopwatch() - self.started, 2), event))
        if not self.quiet:
            print(f"{self.happenings[-1].seconds:8.2f} s  {event}", flush=True)
