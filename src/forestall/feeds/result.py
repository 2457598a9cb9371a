"""What reading a feed brings: entries, and by name the records that were refused."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from forestall.domain.advisory import Advisory, Catalogue, Vulnerability
from forestall.domain.errors import FeedError
from forestall.feeds.document import Content, Record, clean

TOLERATED_SHARE = 0.05
"""Above this share of refused records it is the file that is broken, not some records."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was left out, by its id where it has one, where it stands, and why."""

    record: str
    reason: str


@dataclass(frozen=True, slots=True)
class FeedResult:
    """A feed that was read; `records` counts what was accepted."""

    catalogue: Catalogue
    records: int
    refused: tuple[Refusal, ...]


Entry = TypeVar("Entry", Advisory, Vulnerability)


def read_advisories(records: Iterable[Record[Content]], read: Callable[[Content], Advisory]) -> FeedResult:
    """Read records as advisories; `read` raises ValueError for one that cannot be used.

    Raises:
        FeedError: no record can be used, or too many cannot.
    """
    entries, refused = _collect(records, read)
    return FeedResult(Catalogue(tuple(entries)), len(entries), refused)


def read_vulnerabilities(
    records: Iterable[Record[Content]], read: Callable[[Content], Vulnerability]
) -> FeedResult:
    """Read records as facts about vulnerabilities; otherwise as `read_advisories`."""
    entries, refused = _collect(records, read)
    return FeedResult(Catalogue(facts={entry.id: entry for entry in entries}), len(entries), refused)


def _collect(
    records: Iterable[Record[Content]], read: Callable[[Content], Entry]
) -> tuple[list[Entry], tuple[Refusal, ...]]:
    entries, refused, seen = list[Entry](), list[Refusal](), set[str]()
    for record in records:
        try:
            entry = read(record.content)
        except ValueError as error:
            refused.append(_refusal(record, clean(str(error), 300)))
            continue
        if entry.id in seen:
            refused.append(_refusal(record, f"{entry.id} appears a second time"))
            continue
        seen.add(entry.id)
        entries.append(entry)
    _check_share(len(entries), refused)
    return entries, tuple(refused)


def _refusal(record: Record[Content], reason: str) -> Refusal:
    return Refusal(record.name or record.where, f"{record.where}: {reason}")


def _check_share(accepted: int, refused: list[Refusal]) -> None:
    total = accepted + len(refused)
    if not total:
        raise FeedError("there is no record in it")
    if len(refused) > TOLERATED_SHARE * total:
        first = refused[0]
        name = "" if first.reason.startswith(first.record) else f"{first.record}, "
        raise FeedError(f"{len(refused)} of {total} records cannot be used, first {name}{first.reason}")
