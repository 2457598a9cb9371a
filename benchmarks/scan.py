"""Sweep 65,536 addresses, half of them silent, beside nmap: `python benchmarks/scan.py [--json]`; needs root.

Two network namespaces of its own hold the whole network; nothing leaves them, and they vanish with the run.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from forestall.clock import stopwatch
from forestall.domain.device import SiteId
from forestall.domain.scope import Area, Scope
from forestall.probes.probe import probe_named
from forestall.probes.probe import run as probe_all
from forestall.probes.sweep import HERE, Presence, allow_many_files, sweep

NETWORK = IPv4Network("10.99.0.0/16")
PORT = 7_777
SCOPE = Scope((Area(SiteId("scan"), (NETWORK,), per_second=1_000_000),))
LIMIT_SECONDS = 300
"""The whole run ends by itself after this time."""
LISTEN = f"""
import socket
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", {PORT}))
listener.listen(65535)
print("ready", flush=True)
while True:
    try:
        listener.accept()[0].close()
    except ConnectionError:
        pass
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    wanted = arguments.parse_args()
    if os.geteuid() != 0:
        sys.exit("benchmarks/scan.py makes network namespaces: it needs root (sudo)")
    if wanted.inside:
        figures = measure()
        print(json.dumps(figures))
        return
    if shutil.which("nmap") is None:
        install_nmap()
    with network() as (near, _):
        inside = ("ip", "netns", "exec", near, sys.executable, __file__, "--inside")
        done = subprocess.run(inside, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True)
    figures = json.loads(done.stdout)
    if wanted.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:>14,.6g}")


def install_nmap() -> None:
    apt = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (("update",), ("install", "-y", "--no-install-recommends", "nmap")):
        subprocess.run((*apt, *command), env=quiet, stdout=subprocess.DEVNULL, timeout=600, check=True)


@contextmanager
def network() -> Iterator[tuple[str, str]]:
    """Make a network of 65,536 addresses behind one gateway: of every 256 the first 128 answer, the rest never."""
    near, far = f"scan-near-{os.getpid()}", f"scan-far-{os.getpid()}"
    lines = [f"route add local {each} dev lo" for each in live()]
    lines.append(f"route add blackhole {NETWORK}")
    with_lines = {"input": "\n".join(lines), "text": True}
    run("ip", "netns", "add", near)
    run("ip", "netns", "add", far)
    server = None
    try:
        run("ip", "-n", near, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", far)
        for name, address in ((near, "10.98.0.1/30"), (far, "10.98.0.2/30")):
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "addr", "add", address, "dev", "up0")
            run("ip", "-n", name, "link", "set", "up0", "up")
        run("ip", "-n", near, "route", "add", str(NETWORK), "via", "10.98.0.2")
        subprocess.run(("ip", "-n", far, "-batch", "-"), check=True, timeout=60, **with_lines)  # type: ignore[call-overload]
        enter = ("ip", "netns", "exec", far)
        settings = ("net.core.somaxconn=65535", "net.ipv4.tcp_max_syn_backlog=65535", "net.ipv4.ip_forward=0")
        run(*enter, "sysctl", "-q", "-w", *settings)
        server = subprocess.Popen((*enter, sys.executable, "-c", LISTEN), stdout=subprocess.PIPE)
        for _ in server.stdout or ():
            break
        yield near, far
    finally:
        if server is not None:
            server.kill()
            server.wait()
        for name in (near, far):
            run("ip", "netns", "del", name)


def live() -> list[str]:
    return [f"10.99.{part}.0/25" for part in range(256)]


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=60)


def measure() -> dict[str, float]:
    """Inside: both scanners in turn, three rounds; the best of each counts."""
    allow_many_files()
    truth = {address for each in live() for address in IPv4Network(each)}
    ours, theirs = list[dict[str, float]](), list[dict[str, float]]()
    for _ in range(3):
        ours.append(our_sweep(truth))
        theirs.append(nmap_sweep(truth))
    best, nmap_best = (min(each, key=lambda one: one["wall_s"]) for each in (ours, theirs))
    return {
        "addresses": NETWORK.num_addresses,
        "live": len(truth),
        **best,
        "recall_worst": min(one["recall"] for one in ours),
        **recheck(),
        "nmap_wall_s": nmap_best["wall_s"],
        "nmap_recall": nmap_best["recall"],
        "of_nmap": best["wall_s"] / nmap_best["wall_s"],
    }


def our_sweep(truth: set[IPv4Address]) -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    swept = sweep(NETWORK, PORT, SCOPE)
    after = resource.getrusage(resource.RUSAGE_SELF)
    found = {address for address, presence in swept.found.items() if presence in HERE}
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "wall_s": swept.seconds,
        "recall": len(found & truth) / len(truth),
        "wrong": len(found - truth),
        "unknown": swept.counts[Presence.UNKNOWN],
        "longest_lag_s": swept.longest_lag,
        "cpu_us_a_knock": 1e6 * cpu / NETWORK.num_addresses,
        "memory_mb": after.ru_maxrss / 1024,
    }


def recheck() -> dict[str, float]:
    """Check one machine again: one that answers, and one that never will."""
    probe = replace(probe_named("ssh-strict"), port=PORT)
    seconds = {}
    for name, address in (("recheck_s", "10.99.0.1"), ("recheck_silent_s", "10.99.0.200")):
        started = stopwatch()
        probe_all([(address, probe)], SCOPE)
        seconds[name] = stopwatch() - started
    return seconds


def nmap_sweep(truth: set[IPv4Address]) -> dict[str, float]:
    """Tuned as far as it goes without missing anybody here (-T5 without a least rate takes minutes)."""
    tuned = ("-T5", "--min-rate", "20000", "--max-retries", "0")
    started = stopwatch()
    done = subprocess.run(
        ("nmap", "-n", "-Pn", "-sS", *tuned, "-p", str(PORT), "--open", "-oG", "-", str(NETWORK)),
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    seconds = stopwatch() - started
    lines = (line.split() for line in done.stdout.splitlines() if "/open/" in line)
    found = {IPv4Address(words[1]) for words in lines}
    return {"wall_s": seconds, "recall": len(found & truth) / len(truth)}


if __name__ == "__main__":
    main()
