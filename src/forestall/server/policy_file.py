"""A company's own numbers: a flat TOML file over the defaults of `domain/policy.py`; impossible ones are refused."""

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from forestall.domain.duration import parse_duration
from forestall.domain.errors import InputError
from forestall.domain.policy import Policy, faults
from forestall.server.toml_file import line_of, read_toml

_KINDS = get_type_hints(Policy)
_WRITTEN = {timedelta: Any, tuple[timedelta, ...]: list[Any]}
_File = msgspec.defstruct(
    "_File",
    [
        (each.name, _WRITTEN.get(_KINDS[each.name], _KINDS[each.name]) | msgspec.UnsetType, msgspec.UNSET)
        for each in fields(Policy)
    ],
    forbid_unknown_fields=True,
)


def load_policy(path: Path) -> Policy:
    """Read a policy file; what it does not name keeps its default.

    Raises:
        InputError: what cannot be used, one line each: file, line, why, and the nearest right name.
    """
    written = msgspec.structs.asdict(read_toml(path, _File))
    text = path.read_text(encoding="utf-8")
    given = {
        name: _value(value, f"{path}, line {line_of(text, name)}: {name}: ", _KINDS[name])
        for name, value in written.items()
        if value is not msgspec.UNSET
    }
    policy = msgspec.convert(given, Policy)
    if found := faults(policy):
        raise InputError("\n".join(_fault(path, text, given, name, why) for name, why in found.items()))
    return policy


def _value(value: object, where: str, kind: object) -> object:
    try:
        match value:
            case _ if kind is timedelta:
                return parse_duration(str(value))
            case [*texts] if kind == tuple[timedelta, ...]:
                return tuple(parse_duration(str(text)) for text in texts)
            case _:
                return value
    except InputError as error:
        raise InputError(where + str(error)) from error


def _fault(path: Path, text: str, given: Mapping[str, object], name: str, why: str) -> str:
    """Name the line: where the number stands, or else the one it does not fit with."""
    culprit = next((word for word in (name, *re.findall(r"\w+", why)) if word in given), "")
    return f"{path}, line {line_of(text, culprit)}: {name} {why}"
