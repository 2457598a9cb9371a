"""Figures for durable check-ins over loopback: `python benchmarks/checkin.py [--words N] [--streams N] [--json]`.

Linux.

The server's own application on the embedded PostgreSQL, over mutual TLS, beside the same answer from one ORM
transaction a request behind the same listener. Each machine keeps its connection and checks in again and again, a word
on one order each time, answered after its commit. CPU is that of the server's process and of PostgreSQL together,
without the clients', from the moment when all connections stand: a handshake is not in it.
"""

import argparse
import asyncio
import json
import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import create_engine, insert, select
from sqlalchemy.orm import Session, registry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from decide import campaign, machine, name_of
from forestall import protocol
from forestall.agent.client import pinned
from forestall.clock import stopwatch, utc_now
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Status
from forestall.domain.identity import CERTIFICATE_LIFE, Certificate, new_serial
from forestall.domain.inventory import Inventory, Package, PackageState, hash_of
from forestall.domain.policy import Policy
from forestall.server.agents import AgentDesk
from forestall.store import campaigns, devices, identities, inventories, records, tables
from forestall.store.database import Database
from forestall.store.embedded import Embedded
from forestall.trust.device_ca import DeviceCa, key_of, open_ca
from forestall.trust.device_key import new_key, request_for, written
from forestall.web.app import make_agents_app
from forestall.web.serve import serving
from forestall.web.streams import Streams
from sleepers import slept

FLEET = 20_000
CONNECTIONS = 256
PACKAGES = 1_500
CHANGED = 40
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=20_000, help="check-ins in all")
    parser.add_argument("--streams", type=int, default=5_000, help="machines that sleep on a wake-up stream")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", default="", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.client:
        asyncio.run(speak(wanted.client, json.loads(sys.stdin.readline())))
        return
    figures = measured(wanted.words, wanted.streams)
    if wanted.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:24} {value:>12,.6g}")


def measured(words: int, sleeping: int) -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory() as directory,
        Embedded(Path(directory) / "database") as embedded,
        Database(embedded.url) as database,
    ):
        database.migrate()
        known = fill(database)
        site = Site(Path(directory), open_ca(Path(directory) / "device-ca", utc_now()))
        site.certify(max(CONNECTIONS, sleeping))
        ours = make_agents_app(AgentDesk(database, Policy(), site.authority), Streams())
        rounds = words // CONNECTIONS
        words = rounds * CONNECTIONS
        seconds, cpu = cost(site, ours, [check_ins(known, 1, rounds)] * CONNECTIONS)
        new = [[changed_inventory(number)] for number in range(CHANGED)]
        _, changed = cost(site, ours, new)
        fewer = rounds // 10
        with orm_application(embedded.url) as theirs:
            says = [check_ins(known, rounds + 1, fewer)] * CONNECTIONS
            orm_seconds, orm_cpu = cost(site, theirs, says)
        streams = Streams()
        wakes = make_agents_app(AgentDesk(database, Policy(), site.authority), streams)
        names = [name_of(number) for number in range(sleeping)]
        rest = slept(wakes, streams, site.folder, site.authority, names)
    orm_words = fewer * CONNECTIONS
    return {
        "machines": FLEET,
        "connections": CONNECTIONS,
        "per_second": words / seconds,
        "cpu_us": cpu * 1e6 / words,
        "orm_per_second": orm_words / orm_seconds,
        "orm_cpu_us": orm_cpu * 1e6 / orm_words,
        "ratio": orm_cpu / orm_words / (cpu / words),
        "changed_cpu_us": changed * 1e6 / CHANGED,
        "unchanged_vs_changed": changed / CHANGED / (cpu / words),
        **rest,
    }


class Site:
    """Where the server listens, and the files of the machines that will speak."""

    def __init__(self, folder: Path, authority: DeviceCa) -> None:
        self.folder, self.authority = folder, authority
        (folder / "authority.pem").write_text(authority.pem)

    def certify(self, count: int) -> None:
        for number in range(count):
            key = new_key()
            asked = key_of(request_for(key))
            if asked is None:
                raise SystemExit("our own request is none")
            pem = self.authority.issue(asked, certificate_of(number, utc_now()))
            (self.folder / f"{number}.pem").write_bytes(pem.encode() + written(key))


def certificate_of(number: int, now: datetime) -> Certificate:
    begins_at = now.replace(microsecond=0)
    device, serial = DeviceId(name_of(number)), new_serial(0, number, now)
    return Certificate(device, serial, begins_at, begins_at + CERTIFICATE_LIFE)


def fill(database: Database) -> str:
    """Enrolled machines with the same packages and one order each; returns the packages' hash."""
    names = [name_of(number) for number in range(FLEET)]
    running = replace(campaign(), deadline_at=utc_now(), distributed_at=utc_now())
    found = installed(0)
    with database.begin() as con:
        campaigns.save(con, running)
        devices.save(con, map(machine, range(FLEET)))
        identities.add(con, dict.fromkeys(names, 0))
        records.enlist(con, running.id, dict.fromkeys(names, Status.AFFECTED), utc_now())
        records.mark(con, running.id, "offered_at", names, utc_now())
        inventories.put(con, names[0], found, hash_of(found), 0, utc_now())
        kept = con.execute(select(tables.device_inventory)).one()._asdict()
        con.execute(insert(tables.device_inventory), [kept | {"device": name} for name in names[1:]])
    return hash_of(found)


def installed(number: int) -> Inventory:
    def package(index: int) -> Package:
        version = f"1.{index}-{number if index < 30 else 0}"
        return Package(f"lib{index}", version, "amd64", PackageState.INSTALLED, f"src{index}", version)

    return Inventory("bookworm", tuple(map(package, range(PACKAGES))))


def check_ins(known: str, first: int, count: int) -> list[str]:
    state = protocol.OrderState(campaign().id, 1, "affected")
    words = (protocol.CheckIn("1", "boot", number, known, [state]) for number in range(first, first + count))
    return [request("POST", protocol.CHECK_IN, word) for word in words]


def changed_inventory(number: int) -> str:
    """Thirty packages are other than before."""
    entries = [
        protocol.PackageEntry(p.name, p.version, p.architecture, "installed", p.source, p.source_version)
        for p in installed(number + 1).packages
    ]
    return request("PUT", protocol.INVENTORY, protocol.InventoryReport("bookworm", entries))


def request(method: str, path: str, body: msgspec.Struct) -> str:
    content = msgspec.json.encode(body).decode()
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n{content}"


def cost(site: Site, app: ASGIApp, requests: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Serve machines of another process, each with its requests; seconds, and CPU of server and PostgreSQL."""
    postmaster = int((site.folder / "database" / "data" / "postmaster.pid").read_text().split()[0])
    context = site.authority.context(site.folder, ["127.0.0.1"])
    with serving(app, "127.0.0.1", 0, context) as url, clients(site.folder, url) as client:
        told(client, json.dumps(requests))  # until all connections stand
        before = cpu_of(postmaster)
        good, seconds = told(client, "go").split()
        spent = cpu_of(postmaster) - before
    if int(good) != sum(map(len, requests)):
        raise SystemExit(f"not all were answered: {good}")
    return float(seconds), spent


@contextmanager
def clients(folder: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, "--client", f"{folder} {url}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def told(client: subprocess.Popen[str], line: str) -> str:
    """Say one line to the clients, and wait for one of theirs."""
    if client.stdin is None or client.stdout is None:
        raise TypeError("the clients are not connected")
    client.stdin.write(f"{line}\n")
    client.stdin.flush()
    return client.stdout.readline()


def cpu_of(postmaster: int) -> float:
    """CPU of this process and of PostgreSQL so far, ended processes of it included."""
    ticks = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if postmaster == int(place.parent.name):
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            ticks += sum(map(int, fields[11:13]))
    own = os.times()
    return ticks / _TICKS + own.user + own.system


async def speak(place: str, requests: Sequence[Sequence[str]]) -> None:
    """Connect all machines; once told, send what each has to say, and count the good answers."""
    folder, _, url = place.partition(" ")
    host, _, port = url.removeprefix("https://").rstrip("/").partition(":")
    good = 0

    async def connect(number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = context_of(Path(folder), number)
        return await asyncio.open_connection(host, int(port), ssl=context)

    async def talk(line: tuple[asyncio.StreamReader, asyncio.StreamWriter], words: Sequence[str]) -> None:
        nonlocal good
        reader, writer = line
        for each in words:
            writer.write(each.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            good += head.startswith(b"HTTP/1.1 2")
        writer.close()

    lines = [await connect(number) for number in range(len(requests))]
    print("ready", flush=True)
    sys.stdin.readline()
    started = stopwatch()
    await asyncio.gather(*map(talk, lines, requests))
    print(good, stopwatch() - started)


def context_of(folder: Path, number: int) -> ssl.SSLContext:
    return pinned((folder / "authority.pem").read_text(), folder / f"{number}.pem")


@contextmanager
def orm_application(url: str) -> Iterator[Starlette]:
    """The usual way: a session for each request that gets objects, changes them, and commits."""
    mapped = registry()
    names = ("device", "device_identity", "device_inventory", "record", "campaign")
    kinds: dict[str, Any] = {name: type(name, (), {}) for name in names}
    for name, kind in kinds.items():
        mapped.map_imperatively(kind, getattr(tables, name))
    engine = create_engine(url, pool_size=5, max_overflow=10)

    def answered(shown: Certificate, message: protocol.CheckIn) -> protocol.CheckInAnswer:
        now, name = utc_now(), shown.device
        record, running = kinds["record"], kinds["campaign"]
        with Session(engine) as session, session.begin():
            kept = session.get_one(kinds["device_identity"], name)
            device = session.get_one(kinds["device"], name)
            if kept.void or int(kept.serial, 16) != shown.serial or message.sequence <= device.sequence:
                raise SystemExit("a stranger in the benchmark")
            device.heard_at = device.seen_at = now
            device.sequence, device.boot_id = message.sequence, message.boot_id
            for state in message.states:
                about = session.get_one(record, (state.campaign, name))
                about.agent_status, about.agent_at = state.status, now
            of_it = select(running, record).join(record, record.campaign == running.id)
            offers = session.execute(of_it.where(record.device == name, record.offered_at.is_not(None))).all()
            inventory = session.get_one(kinds["device_inventory"], name)
            hints = [protocol.OrderHint(c.id, r.offered_at, c.deadline_at) for c, r in offers]
            other = inventory.sha256 != message.inventory_sha256
        return protocol.CheckInAnswer(now, other, 14_400, 0, hints)

    async def serve(request: Request) -> Response:
        message = msgspec.json.decode(await request.body(), type=protocol.CheckIn)
        answer = await asyncio.to_thread(answered, request.state.certificate, message)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    try:
        yield Starlette(routes=[Route(protocol.CHECK_IN, serve, methods=["POST"])])
    finally:
        engine.dispose()
        mapped.dispose()


if __name__ == "__main__":
    main()
