"""Figures for the decide pass over a whole fleet: `python benchmarks/decide.py [--devices N] [--json]`.

Every pass is the server's own, gather and write included, on the embedded PostgreSQL; `table_seconds` is the rule
table alone over prepared cases. Peaks are resident memory of this process; the database's share is shown beside.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from forestall.clock import stopwatch
from forestall.domain.campaign import Campaign, Kind, Phase, Step, take
from forestall.domain.case import case_of, moment_of
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Status
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.plan import decide
from forestall.domain.policy import DAY, HOUR, MINUTE, Policy
from forestall.domain.remediation import RemediationId
from forestall.server.passes import Passed, run_pass
from forestall.store import campaigns, devices, lease, records
from forestall.store.database import Database
from forestall.store.devices import Contact
from forestall.store.embedded import Embedded

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DEADLINE = START + 2 * DAY
SITES = 400
UNMANAGED_EVERY = 5
CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One pass."""

    situation: str
    seconds: float
    peak_mb: float
    database_mb: float
    ordered: int
    held: int


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--devices", type=int, default=300_000)
    arguments.add_argument("--json", action="store_true")
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory, installed(Path(directory)) as database:
        fill(database, wanted.devices)
        passes = [measured(database, *situation) for situation in situations(database, wanted.devices)]
        table_seconds = table(database)
    show(wanted.devices, passes, table_seconds, as_json=wanted.json)


@contextmanager
def installed(directory: Path) -> Iterator[Database]:
    with Embedded(directory / "database") as embedded, Database(embedded.url) as database:
        database.migrate()
        yield database


def campaign() -> Campaign:
    testing = Campaign(
        id=CampaignId("openssl-1"),
        revision=1,
        remediation=RemediationId("bookworm/openssl/3.0.22-1~deb12u2"),
        kind=Kind.PATCH,
        level=Level.CRITICAL,
        phase=Phase.TESTING,
        voluntary_period=DEADLINE - START,
        goal=0.99,
        published_at=START - 40 * HOUR,
        rated_at=START - 36 * HOUR,
        handed_over_at=START - 30 * HOUR,
    )
    return take(testing, Step.DISTRIBUTE, START) or testing


def fill(database: Database, count: int) -> None:
    """Enlist a company in a campaign: every fifth machine unmanaged, all vulnerable."""
    with database.begin() as con:
        campaigns.save(con, campaign())
    numbers = iter(range(count))
    while chunk := list(islice(numbers, CHUNK)):
        with database.begin() as con:
            devices.save(con, map(machine, chunk))
            found = dict.fromkeys((name_of(number) for number in chunk), Status.AFFECTED)
            records.enlist(con, campaign().id, found, START)


def machine(number: int) -> Device:
    name = name_of(number)
    managed = number % UNMANAGED_EVERY != 0
    owner = f"{name}@example.com"
    return Device(name, name, SiteId(f"site-{number % SITES:03}"), managed, owner=owner, seen_at=START)


def name_of(number: int) -> DeviceId:
    return DeviceId(f"m-{number * 0x9E3779B97F4A7C15 % 2**64:016x}")


Situation = tuple[str, datetime, Callable[[], None]]


def situations(database: Database, count: int) -> list[Situation]:
    """Name each pass, its instant, and what happens before it."""

    def nothing() -> None:
        return None

    def everybody_checks_in() -> None:
        with database.begin() as con:
            heard = [
                Contact(name_of(number), DEADLINE - HOUR, "1", "boot", 1)
                for number in range(count)
                if number % UNMANAGED_EVERY
            ]
            devices.heard(con, heard)

    return [
        ("day one: all are told", START + MINUTE, nothing),
        ("day one: managed are offered", START + 2 * MINUTE, nothing),
        ("quiet: nothing new", START + 3 * MINUTE, nothing),
        ("deadline: waves hold most", DEADLINE, everybody_checks_in),
        ("a minute later", DEADLINE + MINUTE, nothing),
    ]


def measured(database: Database, situation: str, now: datetime, before: Callable[[], None]) -> Figure:
    before()
    with database.begin() as con:
        held = lease.acquire(con, "decide", "benchmark", now, timedelta(minutes=5))
    if held is None:
        raise SystemExit("somebody else decides here")
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): start the peak anew
    started = stopwatch()
    (passed,) = run_pass(database, held, now, Policy())
    seconds = stopwatch() - started
    return Figure(situation, seconds, peak_mb(), database_mb(), *counts(passed))


def counts(passed: Passed) -> tuple[int, int]:
    return passed.ordered.total(), passed.held.total()


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def database_mb() -> float:
    """Add up what the children of this process hold in memory right after the pass, shared pages once."""
    pids, found = [os.getpid()], []
    while pids:
        children = Path(f"/proc/{pids.pop()}/task").glob("*/children")
        new = [int(pid) for each in children for pid in each.read_text().split()]
        pids += new
        found += new
    smaps = [Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in found]
    return sum(int(line.split()[1]) for lines in smaps for line in lines if line.startswith("Pss:")) / 1024


def table(database: Database) -> float:
    """Decide for the whole fleet, cases given."""
    with database.begin() as con:
        found = records.gather(con, campaign().id)
        state = campaigns.get(con, campaign().id) or campaign()
    moment = moment_of(state, DEADLINE + MINUTE, Policy())
    cases = [case_of(record, moment) for record in found]
    del found
    decide.cache_clear()
    started = stopwatch()
    for case in cases:
        decide(case)
    return stopwatch() - started


def show(count: int, passes: list[Figure], table_seconds: float, *, as_json: bool) -> None:
    worst = max(each.seconds for each in passes)
    peak = max(each.peak_mb for each in passes)
    if as_json:
        figures = {
            "devices": count,
            "seconds": worst,
            "peak_mb": peak,
            "table_seconds": table_seconds,
            "load": os.getloadavg()[0],
            "passes": [asdict(each) for each in passes],
        }
        print(json.dumps(figures, indent=1))
        return
    print(
        f"{'pass over ' + format(count, ',') + ' machines':36} seconds  peak MB  database MB  ordered     held"
    )
    for each in passes:
        print(
            f"{each.situation:36} {each.seconds:7.2f} {each.peak_mb:8.0f} {each.database_mb:12.0f} "
            f"{each.ordered:8,} {each.held:8,}"
        )
    print(f"{'worst':36} {worst:7.2f} {peak:8.0f}")
    print(f"{'the rule table alone':36} {table_seconds:7.3f}   (load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
