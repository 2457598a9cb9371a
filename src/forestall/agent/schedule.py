"""When the agent talks to the server next; pure, the spread is an argument (P5.3, R31)."""

from datetime import timedelta

CHECK_EVERY = timedelta(hours=4)
"""P5.3, where the server names no other period."""
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=1)
_SHORTEST = timedelta(seconds=1)
_LONGEST = timedelta(hours=24)


def after_answer(asked: timedelta) -> timedelta:
    """Come back when the server says, within a second and a day."""
    return min(max(asked, _SHORTEST), _LONGEST)


def after_silence(silent_checks: int, retry_after: timedelta | None, spread: float) -> timedelta:
    """Come back after a failure: as the server's `Retry-After` asks, else ever later, up to an hour.

    `spread` in 0..1 is drawn anew each time: a fleet that fell silent together must not return together.
    """
    if retry_after is not None:
        return min(max(retry_after, _SHORTEST), _LONGEST) * (1 + spread / 2)
    pause: timedelta = min(_FIRST_PAUSE * 2 ** min(silent_checks, 16), _LONGEST_PAUSE)
    return pause * (0.5 + spread / 2)
