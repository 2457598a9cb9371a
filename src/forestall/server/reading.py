"""Reads the tables of switches and routers when it is time, and makes machines of whoever was seen meanwhile (P6.2)."""

import asyncio
import secrets
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from forestall.clock import stopwatch, utc_now
from forestall.domain.errors import InputError
from forestall.domain.notice import Person
from forestall.domain.policy import Policy
from forestall.domain.sighting import Sighting, Source
from forestall.network.ours import ours
from forestall.network.seen import Seen
from forestall.network.snmp import Engines
from forestall.network.tables import Reading, TableSource, read_all
from forestall.server.finding import Taken, take_in
from forestall.server.network_file import sources_of
from forestall.server.wiring import Installation
from forestall.store import lease, sightings, table_reads
from forestall.store.database import Connection, Database
from forestall.store.table_reads import TableRead

LEASE = "tables"
LEASE_PERIOD = timedelta(minutes=10)
LOOK_EVERY_SECONDS = 20.0
SHARE = 10
"""Reading a source, and making machines, takes this part of the time at most, however large they are."""
_log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


@dataclass(slots=True)
class Reader:
    """Reads what is due, in one process at a time; sources that failed last are read after all others."""

    database: Database
    sources: Sequence[TableSource]
    policy: Policy
    clock: Callable[[], datetime]
    accounts: Callable[[], Mapping[str, Person]] = dict
    _engines: Engines = field(default_factory=Engines)
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    """An event loop of its own: the enforcement points are spoken to on another, by another thread."""
    _merge_at: datetime | None = None

    def turn(self) -> Taken | None:
        """Read what is due; else make machines of new sightings, where there are some. None where nothing was to do."""
        now = self.clock()
        with self.database.begin() as con:
            holder = f"{socket.gethostname()}-{secrets.token_hex(4)}"
            held = lease.acquire(con, LEASE, holder, now, LEASE_PERIOD)
        if held is None:
            return None
        try:
            return self._read(now) or self._merge(now)
        finally:
            with self.database.begin() as con:
                lease.release(con, held, self.clock())

    def close(self) -> None:
        """End all conversations."""
        self._engines.close()
        self._runner.close()

    def _read(self, now: datetime) -> Taken | None:
        with self.database.begin() as con:
            due = table_reads.due(con, (source.name for source in self.sources), now)
        steady = [name for name, failing in due.items() if not failing]
        chosen = [source for source in self.sources if source.name in (steady or due)]
        if not chosen:
            return None
        readings = self._runner.run(read_all(chosen, self._engines, now))
        for reading in readings:
            if reading.trouble:
                _log.warning("tables not read", source=reading.name, why=reading.trouble)
        forwarding = closest(reading.seen for reading in readings)
        with self.database.begin() as con:
            table_reads.note(con, [self._noted(reading, now) for reading in readings])
            lately = sightings.lately(con, Source.FORWARDING, now - self.policy.tables_every)
            forwarding = _believable(con, forwarding, readings)
        lively = lately | {each.hardware for each in forwarding}
        held = [
            sighting
            for reading in readings
            for sighting in (
                *reading.seen.neighbours,
                *(each for each in reading.seen.stale if each.hardware in lively),
            )
        ]
        return self._take_in([*forwarding, *held], now)

    def _noted(self, reading: Reading, now: datetime) -> TableRead:
        pause = max(self.policy.tables_every, SHARE * timedelta(seconds=reading.seconds))
        rows = len(reading.seen.forwarding), len(reading.seen.neighbours) + len(reading.seen.stale)
        good_at = None if reading.trouble else now
        return TableRead(reading.name, now, good_at, *rows, reading.seconds, reading.trouble, now + pause)

    def _merge(self, now: datetime) -> Taken | None:
        """Make machines of whoever logged in, unless that was just done."""
        if self._merge_at is not None and now < self._merge_at:
            return None
        with self.database.begin() as con:
            waiting = sightings.waiting(con)
        return self._take_in([], now) if waiting else None

    def _take_in(self, seen: Iterable[Sighting], now: datetime) -> Taken:
        began = stopwatch()
        taken = take_in(self.database, seen, "tables", now, self._people())
        self._merge_at = now + SHARE * timedelta(seconds=stopwatch() - began)
        return taken

    def _people(self) -> Mapping[str, Person]:
        """Read who uses which account; where that cannot be read, machines keep the owners they have."""
        try:
            return self.accounts()
        except InputError as error:
            _log.warning("no owners found", why=str(error))
            return {}


def reader_of(installation: Installation) -> Reader | None:
    """Connect the sources that the settings name; None where there is nothing to read and nobody logs in.

    Raises:
        InputError: a source or a file of secrets that cannot be used.
    """
    settings, sources = installation.settings, _sources(installation)
    if not sources and not settings.network.admission.credentials:
        return None
    return Reader(installation.database, sources, installation.policy, utc_now, settings.accounts)


def _sources(installation: Installation) -> list[TableSource]:
    settings, table = installation.settings, installation.settings.network
    towards = [each.address for each in (*table.points, *table.sources) if hasattr(each, "address")]
    return sources_of(table, settings.directory, ours(towards) if towards else frozenset())


def _believable(
    con: Connection, forwarding: Sequence[Sighting], readings: Iterable[Reading]
) -> list[Sighting]:
    """Leave out who has no place, no address, and was never seen: anybody can make up senders by the thousand.

    A port with a few machines is a place; behind a crowded one a forwarded address alone makes nobody.
    """
    held = {each.hardware for reading in readings for each in (*reading.seen.neighbours, *reading.seen.stale)}
    doubtful = {each.hardware for each in forwarding if not each.port} - held
    made_up = doubtful - sightings.known(con, doubtful)
    if made_up:
        _log.warning("forwarded to, but no machines yet", addresses=len(made_up))
    return [each for each in forwarding if each.hardware not in made_up]


@dataclass(frozen=True, slots=True)
class SourceState:
    """How reading one switch or router stands; `next_at` is None where it is to be read now."""

    name: str
    site: str
    good_at: datetime | None
    forwarding: int
    neighbours: int
    seconds: float
    next_at: datetime | None
    trouble: str


@dataclass(frozen=True, slots=True)
class SeenBy:
    """How much one kind of source has seen in the last month."""

    source: Source
    ways: int
    newest_at: datetime


@dataclass(frozen=True, slots=True)
class FindingState:
    """How finding machines stands."""

    sources: tuple[SourceState, ...]
    seen_by: tuple[SeenBy, ...]


def standing_of(installation: Installation, now: datetime) -> FindingState:
    """Say when each source that the settings name was read, and what came of it."""
    with installation.database.begin() as con:
        reads, seen = table_reads.everything(con), sightings.tally(con)
    never = TableRead("", now, None, 0, 0, 0.0, "", now)
    return FindingState(
        tuple(
            SourceState(
                source.name, source.site, read.good_at, read.forwarding, read.neighbours, read.seconds,
                read.next_at if read.next_at > now else None, read.trouble,
            )
            for source in _sources(installation)
            for read in [reads.get(source.name, never)]
        ),
        tuple(SeenBy(source, ways, newest_at) for source, (ways, newest_at) in seen.items()),
    )  # fmt: skip


def closest(seen: Iterable[Seen]) -> list[Sighting]:
    """Choose for each machine, of all the switches that forward to it, the port that is its own or nearest to it."""
    best = dict[tuple[str, str], tuple[bool, int, str, Sighting]]()
    for each in seen:
        for sighting, crowd in each.forwarding:
            key = sighting.site, sighting.hardware
            rank = (not sighting.port, crowd, sighting.port, sighting)
            best[key] = min(best.get(key, rank), rank)
    return [sighting for *_, sighting in best.values()]
