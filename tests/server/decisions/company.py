"""Twenty machines at three sites, three updates, and a world outside that does what it is told."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from domain.made import DAY, HOUR, MINUTE, POLICY, START
from forestall import protocol
from forestall.domain.action import Action
from forestall.domain.advisory import Advisory, AdvisoryId, Catalogue, Product, ProductStatus
from forestall.domain.campaign import Campaign
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.domain.intent import Intent
from forestall.domain.inventory import Inventory, Package, PackageState, hash_of
from forestall.domain.policy import Policy
from forestall.domain.record import Outcome, Receipt, Record
from forestall.server.effects import Effects
from forestall.server.loops import Clockwork, Outside
from forestall.server.operators import rate_update, start_campaign
from forestall.server.settings import Settings
from forestall.server.wiring import Installation
from forestall.store import advisories, devices, evidence, inventories, records
from forestall.store.database import Database
from forestall.store.devices import Contact
from forestall.store.evidence import Attempts, Observation
from forestall.store.ratings import ThreeEs
from server.company import answered

OPENSSL, OPENSSL_LATER, CURL = "bookworm/openssl/3.0.2", "bookworm/openssl/3.0.9", "bookworm/curl/8.0-2"
MANAGED = [DeviceId(f"m{n:02}") for n in range(12)]
UNMANAGED = [DeviceId(f"u{n:02}") for n in range(8)]
SITES = [SiteId("tokyo"), SiteId("osaka"), SiteId("bonn")]
VOLUNTARY = 8 * DAY
DEADLINE = START + VOLUNTARY


@dataclass
class Postgres:
    """One server with many databases; copying one is a backup."""

    url: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url_of(self, name: str) -> str:
        base, _, options = self.url.partition("?")
        return f"{base.rpartition('/')[0]}/{name}?{options}"

    def fresh(self) -> str:
        return f"t{next(self._numbers)}"

    def create(self, name: str, like: str = "template1") -> None:
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(like))
        )

    def drop(self, name: str) -> None:
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        address = self.url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)


def installed(database: Database, directory: Path, policy: Policy = POLICY) -> Installation:
    return Installation(Settings(directory), policy, database)


def people_and_machines(database: Database) -> None:
    """Twelve managed machines with an old openssl and curl, eight of their owners' own, three updates."""
    old = Inventory(
        "bookworm",
        tuple(
            Package(name, version, "amd64", PackageState.INSTALLED, name, version)
            for name, version in (("openssl", "3.0.1"), ("curl", "8.0-1"))
        ),
    )
    found = [
        Advisory(AdvisoryId(f"DSA-{number}"), "made up", START - 2 * DAY, (), (fixed,), "made-up")
        for number, fixed in enumerate(map(_product, (OPENSSL, OPENSSL_LATER, CURL)), 1)
    ]
    with database.begin() as con:
        devices.save(con, [_device(n, each) for n, each in enumerate([*MANAGED, *UNMANAGED])])
        advisories.save(con, "made-up", Catalogue(tuple(found)))
        for device in MANAGED:
            inventories.put(con, device, old, hash_of(old), 0, START - DAY)


def _device(number: int, device: DeviceId) -> Device:
    managed = device in MANAGED
    owner = f"{device}@company.example"
    return Device(device, f"{device}.example", SITES[number % 3], managed, owner, seen_at=START)


def _product(update: str) -> Product:
    release, source, version = update.split("/")
    return Product(release, source, ProductStatus.FIXED, version)


def rate(installation: Installation, update: str = OPENSSL, *, critical: bool = True) -> None:
    es = ThreeEs(expansion=critical)
    rate_update(installation.database, update, es, None, "it spreads", "aiko", START - HOUR)


def campaign(
    installation: Installation,
    update: str = OPENSSL,
    now: datetime = START,
    period: timedelta = VOLUNTARY,
    *,
    testing: bool = False,
) -> Campaign:
    """Rate an update and drive it."""
    rate(installation, update)
    return start_campaign(installation, update, period, "aiko", now, testing=testing)


@dataclass
class World:
    """Mails are taken, probes see what is true, ports do as told; what was done is kept."""

    database: Database
    affected: set[DeviceId] = field(default_factory=lambda: {*MANAGED, *UNMANAGED})
    mail_works: bool = True
    done: list[tuple[Action, DeviceId]] = field(default_factory=list)
    closed: set[DeviceId] = field(default_factory=set)

    @property
    def effects(self) -> Effects:
        return dict.fromkeys((Action.ANNOUNCE, Action.ASK, Action.WARN), self._mail) | {
            Action.LOOK: self._probe,
            Action.QUARANTINE: self._close,
            Action.RELEASE: self._open,
        }

    def of(self, action: Action) -> list[DeviceId]:
        return [device for each, device in self.done if each is action]

    def see(self, name: str, machines: Sequence[DeviceId], now: datetime) -> None:
        """The sweep probes machines."""
        with self.database.begin() as con:
            said = [Observation(each, Evidence(Witness.PROBE, self._status(each), now)) for each in machines]
            evidence.take(con, name, said, now)

    def hear(self, name: str, machines: Sequence[DeviceId], now: datetime, failures: int = 0) -> None:
        """Agents check in."""
        with self.database.begin() as con:
            devices.heard(con, [Contact(each, now, "made-up", "", 0) for each in machines])
            said = [
                Observation(
                    each, Evidence(Witness.AGENT, self._status(each), now), Attempts(failures, forced=False)
                )
                for each in machines
            ]
            evidence.take(con, name, said, now)

    def _status(self, device: DeviceId) -> Status:
        return Status.AFFECTED if device in self.affected else Status.FIXED

    def _mail(self, intents: Sequence[Intent], now: datetime) -> list[Receipt]:
        self._did(intents)
        outcome = Outcome.DONE if self.mail_works else Outcome.REFUSED
        return [Receipt(outcome, now) for _ in intents]

    def _probe(self, intents: Sequence[Intent], now: datetime) -> list[Receipt]:
        self._did(intents)
        for intent in intents:
            self.see(intent.campaign, [intent.device], now)
        return [Receipt(Outcome.DONE, now) for _ in intents]

    def _close(self, intents: Sequence[Intent], now: datetime) -> list[Receipt]:
        self._did(intents)
        self.closed.update(intent.device for intent in intents)
        return [Receipt(Outcome.DONE, now) for _ in intents]

    def _open(self, intents: Sequence[Intent], now: datetime) -> list[Receipt]:
        self._did(intents)
        self.closed.difference_update(intent.device for intent in intents)
        return [Receipt(Outcome.DONE, now) for _ in intents]

    def _did(self, intents: Sequence[Intent]) -> None:
        self.done.extend((intent.action, intent.device) for intent in intents)


def turn(installation: Installation, world: World, now: datetime) -> None:
    """The server's own clockwork takes one turn at `now`."""
    watermark = installation.watermark
    clockwork = Clockwork(
        installation.database, installation.policy, Outside(world.effects), watermark, lambda: now
    )
    clockwork.turn()
    clockwork.end()


def live(installation: Installation, world: World, begin: datetime, end: datetime, every: timedelta) -> None:
    """Turn after turn, until an instant, it included."""
    now = begin
    while now <= end:
        turn(installation, world, now)
        now += every


def record_of(installation: Installation, name: str, device: DeviceId) -> Record:
    with installation.database.begin() as con:
        (found,) = records.some(con, name, [device])
    return found


def removed_after_the_deadline(
    installation: Installation, world: World, name: str, machines: Sequence[DeviceId]
) -> datetime:
    """Warn the owners of machines after the deadline, check again, remove; gives when. All other owners installed."""
    world.affected = {*MANAGED, *machines}
    world.see(name, machines, DEADLINE)
    live(installation, world, DEADLINE, DEADLINE + 14 * MINUTE, MINUTE)
    return DEADLINE + 14 * MINUTE


def orders(installation: Installation, now: datetime) -> list[str]:
    """What a managed machine's next check-in is answered."""
    message = protocol.CheckIn(agent_version="1", boot_id="b", sequence=1, inventory_sha256="", states=[])
    answer = answered(installation.database, installation.policy, MANAGED[0], message, now)
    return [hint.campaign for hint in answer.hints]
