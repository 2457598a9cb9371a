"""What the ledger says of a campaign, so complete that the campaign can be told again from it (A12, R17)."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from enum import Enum

from forestall.domain.campaign import Campaign, Kind, Phase
from forestall.domain.events import JsonValue
from forestall.domain.level import Level
from forestall.domain.ring import Ring

_ENUMS = {"kind": Kind, "level": Level, "phase": Phase, "ring": Ring}
_FIELDS = tuple(field.name for field in fields(Campaign))
_OF_RINGS = frozenset({"ring", "ring_opened_at", "tested_at"})
"""Left out where rings have no part in a campaign."""


def told(after: Campaign, before: Campaign | None = None) -> dict[str, JsonValue]:
    """Write a new campaign in full, or what has changed of it; periods in seconds, instants ISO 8601."""
    return {
        name: _written(getattr(after, name))
        for name in _FIELDS
        if (before is None and not (name in _OF_RINGS and after.ring is None))
        or (before is not None and getattr(before, name) != getattr(after, name))
    }


def retold(body: Mapping[str, JsonValue], before: Campaign | None = None) -> Campaign:
    """Read what `told` wrote; twice is once, because values are named, not steps.

    Raises:
        ValueError: a value is none that `told` writes.
        TypeError: a whole campaign is expected and part of it is missing.
    """
    said = {name: _read(name, body[name]) for name in _FIELDS if name in body}
    return Campaign(**said) if before is None else replace(before, **said)  # type: ignore[arg-type]  # by name


def _written(value: object) -> JsonValue:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Enum():
            return str(value.value)
        case None | str() | int() | float():
            return value
        case _:
            raise TypeError(f"a campaign has no {type(value).__name__}")


def _read(name: str, value: JsonValue) -> object:
    if value is None:
        return None
    if name.endswith("_at"):
        return datetime.fromisoformat(str(value))
    if name == "voluntary_period":
        return timedelta(seconds=float(str(value)))
    return _ENUMS[name](str(value)) if name in _ENUMS else value
