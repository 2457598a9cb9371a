"""How fast probes may go: each area has a bucket that fills at its rate and never holds more than 0.1 s of it."""

from forestall.domain.scope import Area

_FULL_SECONDS = 0.1
WAIT_SECONDS = 0.01
"""How long a loop rests before it asks again."""


class Pace:
    """Counts what leaves, area by area."""

    def __init__(self) -> None:
        self._buckets: dict[Area, tuple[float, float]] = {}

    def take(self, area: Area, wanted: int, now: float) -> int:
        """Say how many of the wanted connections may leave now; `now` in seconds, never going back."""
        full = max(1.0, area.per_second * _FULL_SECONDS)
        level, since = self._buckets.get(area, (full, now))
        level = min(full, level + (now - since) * area.per_second)
        granted = max(0, min(wanted, int(level)))
        self._buckets[area] = (level - granted, now)
        return granted

    def spend(self, area: Area, now: float) -> None:
        """Count a further connection of a conversation that is under way; what comes next waits for it."""
        self.take(area, 0, now)
        level, since = self._buckets[area]
        self._buckets[area] = (level - 1, since)
