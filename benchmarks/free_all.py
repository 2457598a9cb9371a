"""Figures for breaking the glass at a company's scale (R16): `python benchmarks/free_all.py [--switches 400]`.

Switches that are made up in a process of their own answer SNMP on loopback; some are slow, dead, lying, or their tables
never end. `forestall network free-all` frees everything with our mark from the settings alone: no server, no database.
Then it is run again, and again after the dead have come back: only what is left is freed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from laboratory.made_up_switches import KINDS, Crowd

LIMIT_SECONDS = 600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--switches", type=int, default=400)
    parser.add_argument("--ports", type=int, default=48, help="of each switch")
    parser.add_argument("--marked", type=int, default=12, help="of them closed by us")
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        Crowd(wanted.switches, wanted.ports, wanted.marked) as crowd,
    ):
        figures = measured(Path(directory), crowd)
    if wanted.json:
        print(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            print(f"{name:48} {value:>14,.6g}")
    return 0 if figures["seconds"] <= LIMIT_SECONDS and not figures["closed and not named"] else 1


def measured(directory: Path, crowd: Crowd) -> dict[str, float]:
    """Free all, look at the switches themselves, and free again."""
    settings(directory, crowd)
    figures: dict[str, float] = {
        f"switches, {kind}": sum(each == kind for each in crowd.kinds) for kind in KINDS
    }
    figures["ports with our mark"] = crowd.closed()
    seconds, answer = free_all(directory)
    named = {each["point"] for each in answer["silent"]} | {
        e["point"] for e in answer["freed"] if e["trouble"]
    }
    left = crowd.closed_by_switch()
    figures |= {
        "seconds": seconds,
        "ports freed": sum(not each["trouble"] for each in answer["freed"]),
        "ports still closed": sum(left.values()),
        "switches not reached, named": len(answer["silent"]),
        "switches with ports in trouble, named": len(named) - len(answer["silent"]),
        "closed and not named": sum(count for name, count in left.items() if name not in named),
    }
    seconds, answer = free_all(directory)
    figures |= {
        "again: seconds": seconds,
        "again: ports freed": sum(not e["trouble"] for e in answer["freed"]),
    }
    crowd.mend()
    seconds, answer = free_all(directory)
    figures |= {
        "mended, again: seconds": seconds,
        "mended, again: ports freed": sum(not each["trouble"] for each in answer["freed"]),
        "mended, again: ports still closed": crowd.closed(),
    }
    return figures


def settings(directory: Path, crowd: Crowd) -> None:
    """Write forestall.toml and the credentials; nothing else is there."""
    secret = directory / "switches.toml"
    secret.touch(mode=0o600)
    secret.write_text('community = "made-up"\n')
    points = (
        f'[[network.points]]\nkind = "snmp"\nname = "{name}"\naddress = "127.0.0.1"\nport = {port}\n'
        'credentials = "switches.toml"\n'
        for name, port in crowd.ports.items()
    )
    (directory / "forestall.toml").write_text('[network]\nmode = "enforce"\n' + "".join(points))


def free_all(directory: Path) -> tuple[float, dict[str, list[dict[str, str]]]]:
    """Run the command as a person would; gives wall-clock seconds, its start included."""
    command = (sys.executable, "-m", "forestall.cli", "network", "free-all", "--by", "drill", "--json")
    began = time.perf_counter()
    done = subprocess.run([*command, "--data", str(directory)], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if not done.stdout:
        raise SystemExit(done.stderr)
    return seconds, json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
