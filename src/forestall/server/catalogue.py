"""Brings sources into the store and gives what they say together; feeds only propose (P1.1, P1.2)."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from hashlib import file_digest
from pathlib import Path

from forestall.domain.advisory import Catalogue
from forestall.domain.errors import FeedError, InputError
from forestall.domain.events import Event, EventKind
from forestall.feeds.bundle import BUNDLE
from forestall.feeds.feed import FEEDS, Feed
from forestall.feeds.fetch import fetch, find_file
from forestall.feeds.merge import keep_last_good, merge, shrank
from forestall.feeds.result import FeedResult, Refusal
from forestall.store import advisories, feeds, ledger
from forestall.store.database import Database
from forestall.store.feeds import FeedState

_BUNDLED = "bundle"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of reading one source; `trouble` says why its last good copy stays in force."""

    feed: str
    records: int
    refused: tuple[Refusal, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Source:
    """One feed at one place; its name in the store says both."""

    feed: Feed
    place: str
    name: str


def load_bundle(database: Database, now: datetime) -> list[Pulled]:
    """Read the advisories that come with the product, those that are new since the last start."""
    sources = [
        _Source(feed, str(path), f"{feed.name} ({_BUNDLED})")
        for feed in FEEDS
        if (path := find_file(feed, BUNDLE)) is not None
    ]
    return [report for source in sources if (report := _read(database, source, now, again=False))]


def pull(database: Database, address: str, now: datetime) -> list[Pulled]:
    """Read what a file, a directory or an address holds; without one the bundle, again.

    Raises:
        InputError: nothing there is a source we know.
    """
    sources = list(_sources(address or str(BUNDLE)))
    if not sources:
        known = ", ".join(pattern for feed in FEEDS for pattern in feed.files)
        raise InputError(
            f"{address}: nothing there is a source we know. Files are told by their names: {known}"
        )
    return [report for source in sources if (report := _read(database, source, now, again=True))]


def pull_due(database: Database, addresses: Iterable[str], now: datetime) -> list[Pulled]:
    """Read those sources at some addresses whose interval has passed since they were last tried (P1.1)."""
    with database.begin() as con:
        known = feeds.states(con)

    def due(source: _Source) -> bool:
        tried_at = known.get(source.name, FeedState(source.name)).tried_at
        return tried_at is None or tried_at + source.feed.interval <= now

    sources = [source for address in addresses for source in _sources(address) if due(source)]
    return [report for source in sources if (report := _read(database, source, now, again=True))]


def catalogue(database: Database) -> Catalogue:
    """Join what all sources say; a source fetched later is believed before the bundle."""
    with database.begin() as con:
        found = advisories.load(con)
    order = [feed.name for feed in FEEDS]

    def authority(name: str) -> tuple[int, bool, str]:
        feed, _, place = name.partition(" ")
        return order.index(feed) if feed in order else len(order), place == f"({_BUNDLED})", name

    return merge(found[name] for name in sorted(found, key=authority))


def _sources(address: str) -> Iterator[_Source]:
    path = Path(address)
    for feed in FEEDS:
        if "://" in address:
            last = address.rpartition("/")[2]
            if feed.url == address or any(fnmatch(last, pattern) for pattern in feed.files):
                yield _Source(feed, address, f"{feed.name} {address}")
                return
        elif path.is_dir():
            yield from _in_directory(feed, path)
        elif any(fnmatch(path.name, pattern) for pattern in feed.files):
            yield _Source(feed, address, f"{feed.name} {path.absolute()}")
            return


def _in_directory(feed: Feed, path: Path) -> Iterator[_Source]:
    place = f"({_BUNDLED})" if path == BUNDLE else str(path.absolute())
    for folder in (path, *sorted(inner for inner in path.iterdir() if inner.is_dir())):
        if found := find_file(feed, folder):
            yield _Source(feed, str(found), f"{feed.name} {place}")
            return


def _read(database: Database, source: _Source, now: datetime, *, again: bool) -> Pulled | None:
    """Read one source; None where it is still the copy that is in force."""
    with database.begin() as con:
        before = feeds.states(con).get(source.name, FeedState(source.name))
    digest = _digest(source.place)
    if not again and digest and digest == before.sha256:
        return None
    try:
        result = fetch(source.feed, source.place)
    except FeedError as error:
        with database.begin() as con:
            feeds.failed(con, source.name, now, str(error))
            ledger.append(con, [_event(EventKind.FEED_REFUSED, source.name, {"why": str(error)})], now)
        return Pulled(source.name, before.records, trouble=f"{error}; the last good copy stays in force")
    if shrank(before.records, result.records):
        why = f"{result.records} records where there were {before.records}: waits for a person"
        with database.begin() as con:
            feeds.hold(con, source.name, now, why)
            ledger.append(con, [_event(EventKind.FEED_REFUSED, source.name, {"why": why})], now)
        return Pulled(source.name, before.records, result.refused, trouble=why)
    _take(database, source, result, digest, now)
    return Pulled(source.name, result.records, result.refused)


def _take(database: Database, source: _Source, result: FeedResult, digest: str, now: datetime) -> None:
    with database.begin() as con:
        last = advisories.load(con).get(source.name, Catalogue()) if result.refused else Catalogue()
        advisories.save(con, source.name, keep_last_good(last, result))
        feeds.loaded(con, source.name, now, digest, result.records)
        body = {"records": result.records, "refused": len(result.refused)}
        ledger.append(con, [_event(EventKind.FEED_LOADED, source.name, body)], now)


def _event(kind: EventKind, name: str, body: dict[str, int] | dict[str, str]) -> Event:
    return Event(kind, "forestall", name, body={**body})


def _digest(place: str) -> str:
    """Name a file's bytes; empty where the place is no file one can read, which `fetch` will say."""
    if "://" in place or not Path(place).is_file():
        return ""
    with suppress(OSError), Path(place).open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
    return ""
