"""Bytes of strangers into text and values: unpacking with a limit, strict JSON, and words fit for a terminal."""

import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Generic, NoReturn, TypeVar

from forestall.domain.advisory import VulnerabilityId
from forestall.domain.errors import FeedError
from forestall.domain.version import dpkg_key

_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]+"
)
"""Control characters, line breaks, invisible and direction-changing characters, halves of surrogate pairs."""

_CVE = re.compile(r"CVE-(?:1999|20[0-9]{2})-[0-9]{4,7}")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}")
_RELEASE = re.compile(r"[a-z]{1,32}")
_WEAKNESS = re.compile(r"CWE-[0-9]{1,5}")

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class Record(Generic[Content]):
    """One record as it stands in a file: `where` is its line or number, `name` its id where it has one."""

    where: str
    name: str
    content: Content


def unpack(data: bytes, limit: int) -> bytes:
    """Unpack gzip or xz, known by its first bytes; other data are returned as they are.

    Raises:
        FeedError: the archive is damaged or cut off, or there are more than `limit` bytes in it.
    """
    packed = io.BytesIO(data)
    try:
        if data.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=packed) as gz:
                data = gz.read(limit + 1)
        elif data.startswith(b"\xfd7zXZ\x00"):
            with lzma.LZMAFile(packed, format=lzma.FORMAT_XZ) as xz:
                data = xz.read(limit + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise FeedError(f"the archive is damaged or cut off: {error}") from None
    if len(data) > limit:
        raise FeedError(f"more than {limit // 1_000_000} MB when unpacked")
    return data


def complete_lines(text: str) -> list[str]:
    """Split a text in which every line is ended.

    Raises:
        FeedError: the last one is not: the file was cut off.
    """
    *lines, rest = text.split("\n")
    if rest:
        raise FeedError(f"line {len(lines) + 1}: the file is cut off in its last line")
    return lines


def decode(data: bytes) -> str:
    """Read UTF-8 text that has no NUL.

    Raises:
        FeedError: it is not such a text; the line is named.
    """
    nul = data.find(b"\x00")
    if nul >= 0:
        raise FeedError(f"line {_line_at(data, nul)}: a NUL byte; this is no text")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FeedError(f"line {_line_at(data, error.start)}: not UTF-8 ({error.reason})") from None


def read_json(text: str, where: str = "") -> object:
    """Read one JSON value, refusing what lenient parsers let pass: keys that repeat, NaN, endless nesting.

    Raises:
        FeedError: with `where` before the reason.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except RecursionError:
        raise FeedError(f"{where}nested too deeply") from None
    except ValueError as error:
        raise FeedError(f"{where}not usable as JSON: {error}") from None


def json_lines(text: str, key: str) -> Iterator[Record[object]]:
    """Read one JSON value a line; the records are named by what stands under `key`.

    Raises:
        FeedError: a line is not JSON; it is named.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            value = read_json(line, f"line {number}: ")
            yield Record(f"line {number}", name_of(value, key), value)


def name_of(value: object, key: str) -> str:
    """Take a record's id as a name; empty where it has none."""
    found = value.get(key) if isinstance(value, dict) else None
    return clean(found, 80) if isinstance(found, str) else ""


def clean(text: str, limit: int = 4000) -> str:
    """Put a stranger's text on one line without anything a terminal would obey, cut at `limit` characters."""
    plain = " ".join(_HOSTILE.sub(" ", text).split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def vulnerability_id(text: str) -> VulnerabilityId:
    """Take a CVE id.

    Raises:
        ValueError: it is none.
    """
    if not _CVE.fullmatch(text):
        raise ValueError(f"{clean(text, 60)!r} is no CVE id")
    return VulnerabilityId(text)


def weakness_ids(texts: Iterable[str]) -> tuple[str, ...]:
    """Take the CWE ids that occur in some texts, each once."""
    return tuple(dict.fromkeys(name for text in texts for name in _WEAKNESS.findall(text)))


def source_name(text: str) -> str:
    """Take the name of a source package (Debian policy 5.6.1).

    Raises:
        ValueError: it is none.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(f"{clean(text, 60)!r} is no name of a source package")
    return text


def release_name(text: str) -> str:
    """Take the code name of a release.

    Raises:
        ValueError: it is none.
    """
    if not _RELEASE.fullmatch(text):
        raise ValueError(f"{clean(text, 60)!r} is no code name of a release")
    return text


def debian_version(text: str) -> str:
    """Take a version that dpkg understands.

    Raises:
        ValueError: it is none, `<unfixed>` for example.
    """
    if dpkg_key(text) is None:
        raise ValueError(f"{clean(text, 60)!r} is no version")
    return text


def midnight(day: date) -> datetime:
    """Take the instant a day begins, for sources that publish days only."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        first = clean(f"{pairs[0][0]}: {pairs[0][1]}", 80)
        raise ValueError(
            f"the key {clean(twice, 60)!r} appears twice in the object that begins with {first!r}"
        )
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
