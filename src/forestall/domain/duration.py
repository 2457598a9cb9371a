"""Durations as people write them: `15m`, `72h`, `14d`, `8d4h`, `30s`."""

import re
from datetime import timedelta

from forestall.domain.errors import InputError

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_FORM = re.compile(r"(?:(\d{1,5})d ?)?(?:(\d{1,5})h ?)?(?:(\d{1,5})m ?)?(?:(\d{1,6})s)?", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    Raises:
        InputError: where the text is no such duration; the message says what one looks like.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise InputError(f"“{text[:40]}” is not a duration; write 15m, 72h, 14d or 8d4h")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(period: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it; whole seconds, `0s` for none."""
    rest = round(abs(period.total_seconds()))
    parts: list[str] = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if period < timedelta() else "") + ("".join(parts) or "0s")
