"""Figures for durable check-ins over loopback: `python benchmarks/checkin.py [--machines N] [--json]`. Linux.

The server's own application on the embedded PostgreSQL, beside the same answer from one ORM transaction a request.
Each check-in says a word on one order and is answered after its commit. CPU is that of the server's process and of
PostgreSQL together, without the client's. Connections are kept alive and plain: **TLS is not in these figures**.
"""

import argparse
import asyncio
import hmac
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import create_engine, insert, select
from sqlalchemy.orm import Session, registry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from decide import campaign, machine, name_of
from forestall import protocol
from forestall.clock import stopwatch, utc_now
from forestall.domain.evidence import Status
from forestall.domain.inventory import Inventory, Package, PackageState, hash_of
from forestall.domain.policy import Policy
from forestall.server.agents import AgentDesk
from forestall.store import campaigns, devices, inventories, records, tables
from forestall.store.database import Database
from forestall.store.embedded import Embedded
from forestall.web.app import make_app
from forestall.web.serve import serving

CONNECTIONS = 256
PACKAGES = 1_500
CHANGED = 40
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--client", default="", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.client:
        asyncio.run(speak(wanted.client, json.load(sys.stdin)))
        return
    figures = measured(wanted.machines)
    if wanted.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:24} {value:>12,.6g}")
    print("Plain HTTP, kept alive: TLS is not in these figures.")


def measured(count: int) -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory() as directory,
        Embedded(Path(directory) / "database") as embedded,
        Database(embedded.url) as database,
    ):
        database.migrate()
        known = fill(database, count)
        postmaster = int((Path(directory) / "database" / "data" / "postmaster.pid").read_text().split()[0])
        ours = make_app(AgentDesk(database, Policy()), {})
        says = [check_in(number, known) for number in range(count)]
        seconds, cpu = cost(ours, postmaster, says)
        _, changed = cost(ours, postmaster, [changed_inventory(number) for number in range(CHANGED)])
        with orm_application(embedded.url) as theirs:
            orm_seconds, orm_cpu = cost(theirs, postmaster, says[: count // 10])
    return {
        "machines": count,
        "connections": CONNECTIONS,
        "per_second": count / seconds,
        "cpu_us": cpu * 1e6 / count,
        "orm_per_second": (count // 10) / orm_seconds,
        "orm_cpu_us": orm_cpu * 1e6 / (count // 10),
        "ratio": orm_cpu / (count // 10) / (cpu / count),
        "changed_cpu_us": changed * 1e6 / CHANGED,
        "unchanged_vs_changed": changed / CHANGED / (cpu / count),
    }


def fill(database: Database, count: int) -> str:
    """Machines with secrets, the same packages, and one order each; returns the packages' hash."""
    names = [name_of(number) for number in range(count)]
    running = replace(campaign(), deadline_at=utc_now(), distributed_at=utc_now())
    found = installed(0)
    with database.begin() as con:
        campaigns.save(con, running)
        devices.save(con, map(machine, range(count)))
        records.enlist(con, running.id, dict.fromkeys(names, Status.AFFECTED), utc_now())
        records.mark(con, running.id, "offered_at", names, utc_now())
        secret = sha256(b"secret").digest()
        con.execute(insert(tables.device_secret), [_secret(name, secret) for name in names])
        inventories.put(con, names[0], found, hash_of(found), 0, utc_now())
        kept = con.execute(select(tables.device_inventory)).one()._asdict()
        con.execute(insert(tables.device_inventory), [kept | {"device": name} for name in names[1:]])
    return hash_of(found)


def _secret(name: str, digest: bytes) -> dict[str, object]:
    return {"device": name, "sha256": digest, "made_at": utc_now()}


def installed(number: int) -> Inventory:
    def package(index: int) -> Package:
        version = f"1.{index}-{number if index < 30 else 0}"
        return Package(f"lib{index}", version, "amd64", PackageState.INSTALLED, f"src{index}", version)

    return Inventory("bookworm", tuple(map(package, range(PACKAGES))))


def check_in(number: int, known: str) -> str:
    state = protocol.OrderState(campaign().id, 1, "affected")
    return request("POST", protocol.CHECK_IN, number, protocol.CheckIn("1", "boot", 2, known, [state]))


def changed_inventory(number: int) -> str:
    """Thirty packages are other than before."""
    entries = [
        protocol.PackageEntry(p.name, p.version, p.architecture, "installed", p.source, p.source_version)
        for p in installed(number + 1).packages
    ]
    return request("PUT", protocol.INVENTORY, number, protocol.InventoryReport("bookworm", entries))


def request(method: str, path: str, number: int, body: msgspec.Struct) -> str:
    content = msgspec.json.encode(body).decode()
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {name_of(number)}:secret\r\n"
        f"Content-Length: {len(content)}\r\n\r\n{content}"
    )


def cost(app: Starlette, postmaster: int, requests: list[str]) -> tuple[float, float]:
    """Serve the requests of a client in another process; seconds, and CPU seconds of server and PostgreSQL."""
    with serving(app, "127.0.0.1", 0) as url:
        address = url.removeprefix("http://").rstrip("/")
        before = cpu_of(postmaster)
        started = stopwatch()
        command = [sys.executable, __file__, "--client", address]
        done = subprocess.run(command, input=json.dumps(requests), text=True, capture_output=True, check=True)
        if int(done.stdout.split()[0]) != len(requests):
            raise SystemExit(f"not all were answered: {done.stdout}")
        return float(done.stdout.split()[1]) or stopwatch() - started, cpu_of(postmaster) - before


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


async def speak(address: str, requests: list[str]) -> None:
    """Send all requests over kept connections, and count the good answers."""
    host, _, port = address.partition(":")
    left = iter(requests)
    good = 0

    async def talk() -> None:
        nonlocal good
        reader, writer = await asyncio.open_connection(host, int(port))
        for each in left:
            writer.write(each.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            good += head.startswith(b"HTTP/1.1 2")
        writer.close()

    started = stopwatch()
    await asyncio.gather(*(talk() for _ in range(CONNECTIONS)))
    print(good, stopwatch() - started)


@contextmanager
def orm_application(url: str) -> Iterator[Starlette]:
    """The usual way: a session for each request that gets objects, changes them, and commits."""
    mapped = registry()
    names = ("device", "device_secret", "device_inventory", "record", "campaign")
    kinds: dict[str, Any] = {name: type(name, (), {}) for name in names}
    for name, kind in kinds.items():
        mapped.map_imperatively(kind, getattr(tables, name))
    engine = create_engine(url, pool_size=5, max_overflow=10)

    def answered(name: str, secret: str, message: protocol.CheckIn) -> protocol.CheckInAnswer:
        now = utc_now()
        record, running = kinds["record"], kinds["campaign"]
        with Session(engine) as session, session.begin():
            kept = session.get_one(kinds["device_secret"], name)
            if not hmac.compare_digest(kept.sha256, sha256(secret.encode()).digest()):
                raise SystemExit("a stranger in the benchmark")
            device = session.get_one(kinds["device"], name)
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
        name, _, secret = request.headers["authorization"].removeprefix("Bearer ").partition(":")
        message = msgspec.json.decode(await request.body(), type=protocol.CheckIn)
        answer = await asyncio.to_thread(answered, name, secret, message)
        return Response(msgspec.json.encode(answer), media_type="application/json")

    try:
        yield Starlette(routes=[Route(protocol.CHECK_IN, serve, methods=["POST"])])
    finally:
        engine.dispose()
        mapped.dispose()


if __name__ == "__main__":
    main()
