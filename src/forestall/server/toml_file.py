"""TOML files people write: an error names the file, the line and the nearest right name."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from forestall.domain.errors import InputError

_T = TypeVar("_T", bound=msgspec.Struct)


def read_toml(path: Path, shape: type[_T]) -> _T:
    """Read a file into a struct that forbids unknown fields.

    Raises:
        InputError: where, what and the nearest right name.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: is not TOML: {error}") from error
    _refuse_unknown(path, text, tree, shape)
    try:
        return msgspec.convert(tree, shape)
    except msgspec.ValidationError as error:
        where = re.search(r"`\$\.?([^`]*)`", str(error))
        name = where.group(1).rpartition(".")[2].partition("[")[0] if where else ""
        raise InputError(f"{path}, line {line_of(text, name)}: {error}") from error


def line_of(text: str, name: str) -> int:
    """Find the line on which a name stands as a key or a table, 1 where it does not."""
    form = re.compile(rf"\s*(?:\[\s*)?[\w.\"-]*\b{re.escape(name)}\b[\"\s]*(?:=|\]|\.)")
    return next((number for number, line in enumerate(text.splitlines(), 1) if name and form.match(line)), 1)


def nearest(name: str, right: list[str]) -> str:
    """Suggest the right name, or list them all."""
    close = difflib.get_close_matches(name, right, n=1, cutoff=0.5)
    return f"did you mean “{close[0]}”?" if close else f"known are: {', '.join(right)}"


def _refuse_unknown(path: Path, text: str, tree: dict[str, object], shape: type[msgspec.Struct]) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(shape)}
    for name, value in tree.items():
        if name not in known:
            raise InputError(
                f"{path}, line {line_of(text, name)}: there is no “{name[:60]}”; {nearest(name, list(known))}"
            )
        inner = known[name]
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            _refuse_unknown(path, text, value, inner)
