"""How long a table of 65,536 rows takes, read by SNMP and made machines of: `python benchmarks/sightings.py`.

The switch is an SNMP agent on loopback, in a process of its own; the database comes along and vanishes with the run.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from forestall.clock import stopwatch, utc_now
from forestall.domain.device import SiteId
from forestall.network.snmp import Engines, V2c
from forestall.network.switch import SwitchRules
from forestall.network.tables import Reading, TableSource, read_all
from forestall.server.finding import take_in
from forestall.server.reading import closest
from forestall.store.database import Database
from forestall.store.embedded import Embedded

sys.path.insert(0, str(Path(__file__).parents[1]))
from laboratory.snmp_agent import Agent, Oid, answering

_FORWARDING, _NEIGHBOURS = (1, 3, 6, 1, 2, 1, 17, 7, 1, 2, 2, 1, 2), (1, 3, 6, 1, 2, 1, 4, 22, 1, 2)
_PORTS = 48


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--rows", type=int, default=65_536)
    wanted = arguments.parse_args()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    switch = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, wanted.rows), daemon=True
    )
    switch.start()
    try:
        figures = measured(ours.recv())
    finally:
        switch.terminate()
        switch.join()
    if wanted.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:44} {value:>12,.5g}")


def serve(pipe: Connection, rows: int) -> None:
    """Be the switch: as many addresses in its forwarding table, and as many neighbours."""
    values: dict[Oid, int | bytes] = {}
    for base in range(1, _PORTS + 1):
        values |= {(1, 3, 6, 1, 2, 1, 2, 2, 1, 7, base): 1, (1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2, base): base}
    for n in range(rows):
        mac, ip = (2, 0, 0, *n.to_bytes(3)), (10, *n.to_bytes(3))
        values[*_FORWARDING, 1, *mac] = n % _PORTS + 1
        values[*_NEIGHBOURS, 1, *ip] = bytes(mac)
    with answering(Agent(values)) as agent:
        pipe.send(agent.port)
        pipe.poll(None)


def measured(port: int) -> dict[str, float]:
    now = utc_now()
    source = TableSource(SwitchRules("sw"), "127.0.0.1", V2c("readers"), SiteId("main"), port)
    began, cpu = stopwatch(), time.process_time()
    reading = asyncio.run(read(source))
    figures = {
        "forwarding rows": float(len(reading.seen.forwarding)),
        "neighbour rows": float(len(reading.seen.neighbours)),
        "seconds to read both by SNMP": stopwatch() - began,
        "of them processor seconds": time.process_time() - cpu,
    }
    seen = [*closest([reading.seen]), *reading.seen.neighbours]
    with (
        tempfile.TemporaryDirectory() as directory,
        Embedded(Path(directory) / "database") as embedded,
        Database(embedded.url) as database,
    ):
        database.migrate()
        for name in ("all of them new", "all of them again", "all of them once more"):
            began = stopwatch()
            taken = take_in(database, (each._replace(seen_at=now) for each in seen), "benchmark", now)
            figures[f"seconds to make machines, {name}"] = stopwatch() - began
            now += timedelta(minutes=15)
        figures["machines"] = float(taken.machines)
    return figures


async def read(source: TableSource) -> Reading:
    engines = Engines()
    try:
        (reading,) = await read_all([source], engines, utc_now())
    finally:
        engines.close()
    if reading.trouble:
        sys.exit(reading.trouble)
    return reading


if __name__ == "__main__":
    main()
