"""The only reader of the system clock; everything else takes `now` as an argument."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Read the wall clock as an aware UTC instant."""
    return datetime.now(UTC)


def stopwatch() -> float:
    """Read a clock in seconds that never goes back, for measuring and for timeouts."""
    return time.monotonic()
