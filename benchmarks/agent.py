"""Figures for the agent on a machine of about 700 packages: `python benchmarks/agent.py [--json]`."""

import argparse
import gzip
import json
import resource
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from forestall import protocol
from forestall.agent import restarts, state
from forestall.agent.debian import debian_at
from forestall.agent.inventory import dpkg
from forestall.agent.sight import Sight, report_of
from forestall.agent.state import Held, State
from forestall.clock import stopwatch
from forestall.domain.inventory import hash_of

STATUS = Path(__file__).parents[1] / "tests" / "data" / "machine" / "dpkg-status.gz"
"""A real Debian 12 machine's package database."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = {**inventory(Path(directory)), **messages(Path(directory)), **machine(Path(directory))}
    if wanted.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:36} {value:>14,.6g}")


def inventory(root: Path) -> dict[str, float]:
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "var/lib/dpkg/updates").mkdir()
    (root / "var/lib/dpkg/status").write_bytes(gzip.decompress(STATUS.read_bytes()))
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text("VERSION_CODENAME=bookworm\n")
    debian = debian_at(root)
    found = dpkg.take(debian)
    return {
        "packages": len(found.packages),
        "inventory_cpu_seconds": least_cpu(5, lambda: hash_of(dpkg.take(debian))),
        "inventory_hash_cpu_seconds": least_cpu(5, lambda: hash_of(found)),
    }


def messages(root: Path) -> dict[str, float]:
    found = dpkg.take(debian_at(root))
    sight = Sight(found, hash_of(found), ())
    one = protocol.OrderState(
        "c-1", 1, "affected", detail="libssl3 3.0.20-1~deb12u2 is older than 3.0.22-1~deb12u2"
    )
    sizes = {
        count: len(
            msgspec.json.encode(protocol.CheckIn("0.1.0", "0" * 36, 1_000, sight.sha256, [one] * count))
        )
        for count in (0, 1, 5)
    }
    return {
        **{f"check_in_bytes_{count}_orders": size for count, size in sizes.items()},
        "inventory_bytes": len(msgspec.json.encode(report_of(sight))),
    }


def machine(root: Path) -> dict[str, float]:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    order = protocol.OrderMessage(
        "c", 1, "upgrade", "debian", "bookworm", "openssl", "1", now, now, now, "critical", {}
    )
    hint = protocol.OrderHint("c", now, now)
    remembered = State(held={f"c-{n}": Held(order=order, hint=hint, held_since=now) for n in range(5)})
    return {
        "processes_seen": sum(entry.name.isdecimal() for entry in Path("/proc").iterdir()),
        "restart_scan_seconds": best_of(5, lambda: restarts.scan(Path("/"))),
        "state_write_seconds": best_of(20, lambda: state.save(root, remembered)),
    }


def best_of(times: int, work: Callable[[], object]) -> float:
    """Measure the quickest of some runs, in seconds."""
    return min(_measured(work, stopwatch) for _ in range(times))


def least_cpu(times: int, work: Callable[[], object]) -> float:
    """Measure the least CPU seconds of some runs, ours and our children's."""
    return min(_measured(work, _cpu) for _ in range(times))


def _cpu() -> float:
    used = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _measured(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


if __name__ == "__main__":
    main()
