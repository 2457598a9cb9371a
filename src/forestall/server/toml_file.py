"""TOML files people write: an error names the file, the line and the nearest right name."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import TypeVar, get_args

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
        *above, name = re.split(r"\.", where.group(1)) if where else [""]
        table, _, number = above[-1].partition("[") if above else ("", "", "")
        after = _line_of_item(text, table, int(number.rstrip("]"))) if number.rstrip("]").isdigit() else 0
        raise InputError(f"{path}, line {line_of(text, name.partition('[')[0], after)}: {error}") from error


def line_of(text: str, name: str, after: int = 0) -> int:
    """Find the line on which a name stands as a key or a table, from the one behind `after`; 1 where it does not."""
    form = re.compile(rf"\s*(?:\[+\s*)?[\w.\"-]*\b{re.escape(name)}\b[\"\s]*(?:=|\]|\.)")
    lines = enumerate(text.splitlines(), 1)
    return next(
        (number for number, line in lines if number > after and name and form.match(line)), max(after, 1)
    )


def nearest(name: str, right: list[str]) -> str:
    """Suggest the right name, or list them all."""
    close = difflib.get_close_matches(name, right, n=1, cutoff=0.5)
    return f"did you mean “{close[0]}”?" if close else f"known are: {', '.join(right)}"


def _refuse_unknown(
    path: Path, text: str, tree: dict[str, object], shape: type[msgspec.Struct], after: int = 0
) -> None:
    known = {field.name: field.type for field in msgspec.structs.fields(shape)}
    tag = shape.__struct_config__.tag_field
    for name, value in tree.items():
        if name not in known and name != tag:
            raise InputError(
                f"{path}, line {line_of(text, name, after)}: there is no “{name[:60]}”; {nearest(name, list(known))}"
            )
        inner = known.get(name)
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            _refuse_unknown(path, text, value, inner, after)
        for number, item in enumerate(value if isinstance(value, list) else ()):
            item_shape = _shape_of(item, inner)
            if item_shape is not None:
                _refuse_unknown(path, text, item, item_shape, _line_of_item(text, name, number))


def _shape_of(item: object, listed: object) -> type[msgspec.Struct] | None:
    """Find the struct that an entry of an array of tables is meant to be, by its tag."""
    if not isinstance(item, dict):
        return None
    for shape in get_args(get_args(listed)[0]) if get_args(listed) else ():
        config = shape.__struct_config__
        if item.get(config.tag_field) == config.tag:
            found: type[msgspec.Struct] = shape
            return found
    return None


def _line_of_item(text: str, name: str, number: int) -> int:
    """Find the line of the heading of the n-th entry of an array of tables, 0 where it is not written so."""
    form = re.compile(rf"\s*\[\[\s*[\w.\"-]*\b{re.escape(name)}\s*\]\]")
    lines = [at for at, line in enumerate(text.splitlines(), 1) if form.match(line)]
    return lines[number] if number < len(lines) else 0
