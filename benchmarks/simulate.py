"""Figures for the simulation: `python benchmarks/simulate.py [--campaigns N] [--json]`.

Simulated hours per CPU second, judging included, at the 60 machines of a usual run; what a machine-hour costs as
companies grow shows code that does more than it must.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from datetime import timedelta

from forestall.simulate.company import make_company
from forestall.simulate.invariants import violations
from forestall.simulate.run import run
from forestall.simulate.scenario import DRIVEN, SCENARIOS, squeezed

DAYS = 16


@dataclass(frozen=True, slots=True)
class Figure:
    """Some campaigns of one size."""

    machines: int
    campaigns: int
    cpu_seconds: float
    hours_per_cpu_second: float
    machine_hours_per_cpu_second: float
    events_per_cpu_second: float
    violations: int


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--campaigns", type=int, default=24, help="of 60 machines; fewer of larger companies"
    )
    arguments.add_argument("--json", action="store_true")
    wanted = arguments.parse_args()
    figures = [
        measured(60, wanted.campaigns),
        measured(240, max(1, wanted.campaigns // 8)),
        measured(960, max(1, wanted.campaigns // 24)),
    ]
    if wanted.json:
        print(json.dumps([asdict(each) for each in figures], indent=1))
        return
    print("machines  campaigns  CPU s  hours/CPU s  machine-hours/CPU s  events/CPU s  violations")
    for each in figures:
        print(
            f"{each.machines:8,} {each.campaigns:10,} {each.cpu_seconds:6.1f} {each.hours_per_cpu_second:12,.0f} "
            f"{each.machine_hours_per_cpu_second:20,.0f} {each.events_per_cpu_second:13,.0f} {each.violations:11}"
        )


def measured(machines: int, campaigns: int) -> Figure:
    found = happened = 0
    began = time.process_time()
    for seed in range(1, campaigns + 1):
        scenario = squeezed(SCENARIOS[DRIVEN[seed % len(DRIVEN)]], DAYS)
        lived = run(scenario, make_company(machines, seed), DAYS, seed)
        found += len(violations(lived))
        happened += lived.world.timeline.happened
    seconds = time.process_time() - began
    hours = campaigns * DAYS * (timedelta(days=1) / timedelta(hours=1))
    return Figure(
        machines, campaigns, round(seconds, 2), round(hours / seconds, 1), round(hours * machines / seconds),
        round(happened / seconds), found,
    )  # fmt: skip


if __name__ == "__main__":
    main()
