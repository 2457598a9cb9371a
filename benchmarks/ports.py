"""Figures for removals by SNMP, from the decision to the port down and verified: `python benchmarks/ports.py` (root).

A Linux bridge with net-snmp is the switch; every closing finds the port anew, marks it, closes it and reads it back.
Also: freeing them all by their marks alone.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from forestall.clock import stopwatch
from forestall.network.enforcement import Pace, Removed, free, remove
from forestall.network.point import Target
from forestall.server.enforcement import Enforcement, enforcement_of
from forestall.server.settings import load_settings

sys.path.insert(0, str(Path(__file__).parents[1]))
from laboratory.host import run
from laboratory.network import Port, connect, plug, speak
from laboratory.network import make_bridge as make
from laboratory.switches import Switch, credentials, setting

INSIDE = "--inside"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ports", type=int, default=20)
    parser.add_argument("--others", type=int, default=200, help="further addresses in the forwarding table")
    parser.add_argument(INSIDE, default="", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.inside:
        print(json.dumps(measured(Path(wanted.inside))))
        return
    with tempfile.TemporaryDirectory() as directory:
        figures = in_laboratory(Path(directory), wanted.ports, wanted.others)
    if wanted.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:36} {value:>14,.6g}")


def in_laboratory(directory: Path, ports: int, others: int) -> dict[str, float]:
    """Make a switch with machines, measure from the management namespace, and take all away again."""
    mark = f"fb-{secrets.token_hex(2)}"
    switch = Switch(f"{mark}-sw", "10.77.0.2")
    names = [switch.namespace]
    agent: subprocess.Popen[bytes] | None = None
    try:
        make(switch.namespace, "br0")
        management = plug(f"{mark}-mg", "mg", "10.77.0.10", switch.namespace)
        names.append(management.namespace)
        hosts = [
            plug(f"{mark}-{n}", f"p{n}", f"10.77.0.{50 + n}", switch.namespace) for n in range(1, ports + 1)
        ]
        names += [host.namespace for host in hosts]
        run("ip", "netns", "add", f"{mark}-up")
        names.append(f"{mark}-up")
        connect(switch.namespace, "up1", f"{mark}-up", "eth0")
        switch.give_address()
        for mode, name, more in (("down", "one", {}), ("vlan", "two", {"quarantine_vlan": 99})):
            place = directory / name
            place.mkdir()
            text = '[network]\nmode = "enforce"\ncloses_a_minute = 1000\n'
            (place / "forestall.toml").write_text(
                text + setting(switch, closed_at_most=1000, longest_mark=64, **more)
            )
            credentials(place)
            (place / "machines.json").write_text(json.dumps({mode: [host.mac() for host in hosts]}))
        make(switch.namespace, "brq")
        agent = switch.snmp(directory)
        time.sleep(1.0)  # until the agent answers and every port forwards
        crowd(switch.namespace, others)
        for host in hosts:
            speak(host, switch.address)
        down = asked(management, directory / "one")
        for host in hosts:
            speak(host, switch.address)
        vlan = asked(management, directory / "two")
        return {"ports": ports, "forwarding_entries": ports + others + 2, **down, **vlan}
    finally:
        if agent is not None:
            agent.terminate()
            agent.wait()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def crowd(switch: str, others: int) -> None:
    """Fill the forwarding table behind the uplink."""
    lines = "".join(
        f"fdb add 02:00:00:00:{n >> 8:02x}:{n & 255:02x} dev up1 master dynamic\n" for n in range(others)
    )
    subprocess.run(["bridge", "-n", switch, "-batch", "-"], input=lines, text=True, check=True)


def asked(management: Port, place: Path) -> dict[str, float]:
    command = [*management.enter, sys.executable, __file__, INSIDE, str(place)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ})
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def measured(place: Path) -> dict[str, float]:
    """Close every port, one after the other, then free them all."""
    with closing(enforcement_of(load_settings(place))) as enforcement:
        return enforcement.run(figures_of(enforcement, place))


async def figures_of(enforcement: Enforcement, place: Path) -> dict[str, float]:
    ((mode, macs),) = json.loads((place / "machines.json").read_text()).items()
    seconds = [await seconds_of(enforcement, mac, number) for number, mac in enumerate(macs)]
    started = stopwatch()
    freed, silent = await free(enforcement.points)
    freeing = stopwatch() - started
    if silent or len(freed) != len(macs) or any(each.trouble for each in freed):
        raise SystemExit(f"not all were freed: {silent} {freed}")
    ordered = sorted(seconds)
    return {
        f"{mode}_median_seconds": statistics.median(ordered),
        f"{mode}_95th_percentile_seconds": ordered[int(len(ordered) * 0.95)],
        f"{mode}_slowest_seconds": ordered[-1],
        f"{mode}_free_all_seconds": freeing,
    }


async def seconds_of(enforcement: Enforcement, mac: str, number: int) -> float:
    started = stopwatch()
    target = Target(f"m-{number:016x}", "bench-1", addresses=(mac,))
    result = await remove(enforcement.points, target, frozenset(), Pace(1_000), simulate=False)
    if not isinstance(result, Removed):
        raise SystemExit(f"not closed: {result}")
    return stopwatch() - started


if __name__ == "__main__":
    main()
