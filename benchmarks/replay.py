"""How long a replay takes: `python benchmarks/replay.py [--machines 20000] [--json]`.

A campaign is announced to everybody, every second owner installs, and the database is lost: an empty one takes the
ledger back and is told everything again.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forestall.clock import stopwatch
from forestall.domain.action import Action
from forestall.domain.campaign import Campaign, Kind, Phase, Step
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.events import Event, EventKind
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.intent import Intent
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY, Policy
from forestall.domain.record import Outcome, Receipt
from forestall.domain.remediation import RemediationId
from forestall.domain.story import told
from forestall.server.effects import apply_open
from forestall.server.operators import move_campaign
from forestall.server.passes import run_pass
from forestall.server.replay import replay
from forestall.store import campaigns, devices, evidence, lease, ledger, records
from forestall.store.database import Database
from forestall.store.embedded import Embedded
from forestall.store.evidence import Observation

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
NAME = CampaignId("c1")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--machines", type=int, default=20_000)
    arguments.add_argument("--json", action="store_true")
    wanted = arguments.parse_args()
    figures = measured(wanted.machines)
    if wanted.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:24} {value:>14,.6g}")


def measured(machines: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        with Embedded(Path(directory) / "lost") as server, Database(server.url) as database:
            fleet = company(database, machines)
            lived(database, fleet)
            with database.begin() as con:
                outside = list(ledger.read_all(con))
        with Embedded(Path(directory) / "empty") as server, Database(server.url) as database:
            company(database, machines)
            started = stopwatch()
            with database.begin() as con:
                ledger.adopt(con, outside, "benchmark", NOW + DAY)
            adopted = stopwatch()
            with database.begin() as con:
                done = replay(con, "benchmark", NOW + DAY)
            replayed = stopwatch()
    return {
        "machines": machines,
        "entries": done.entries,
        "intents": done.intents,
        "adopt_seconds": round(adopted - started, 2),
        "replay_seconds": round(replayed - adopted, 2),
    }


def company(database: Database, machines: int) -> list[DeviceId]:
    database.migrate()
    fleet = [DeviceId(f"u{n:06}") for n in range(machines)]
    with database.begin() as con:
        devices.save(
            con,
            [Device(each, each, SiteId(f"s{n % 400}"), False, "a@b") for n, each in enumerate(fleet)],
        )
    return fleet


def lived(database: Database, fleet: list[DeviceId]) -> None:
    campaign = Campaign(
        NAME, 1, RemediationId("bookworm/openssl/3.0.2"), Kind.PATCH, Level.CRITICAL, Phase.TESTING, 8 * DAY, 0.99,
        NOW - DAY, NOW - DAY, NOW - DAY,
    )  # fmt: skip
    with database.begin() as con:
        campaigns.save(con, campaign)
        started = Event(EventKind.CAMPAIGN_STARTED, "aiko", "openssl", NAME, body=told(campaign))
        ledger.append(con, [started], NOW)
        records.enlist(con, NAME, dict.fromkeys(fleet, Status.UNKNOWN), NOW)
        held = lease.acquire(con, "decide", "benchmark", NOW, DAY)
    if held is None:
        raise RuntimeError("the lease is held by somebody else")
    move_campaign(database, NAME, Step.DISTRIBUTE, "aiko", NOW)
    effects = dict.fromkeys(Action, mailed)
    run_pass(database, held, NOW, Policy())
    while apply_open(database, effects, "benchmark", NOW, Policy()):
        pass
    later = NOW + timedelta(hours=1)
    with database.begin() as con:
        fixed = (Observation(each, Evidence(Witness.PROBE, Status.FIXED, later)) for each in fleet[::2])
        evidence.take(con, NAME, fixed, later)


def mailed(intents: Sequence[Intent], now: datetime) -> Sequence[Receipt]:
    return [Receipt(Outcome.DONE, now) for _ in intents]


if __name__ == "__main__":
    main()
