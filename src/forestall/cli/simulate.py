"""`forestall simulate`: a made-up company lives through a campaign, once or thousands of times."""

import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.output import Json, print_json, print_line, print_table

if TYPE_CHECKING:
    from forestall.simulate.report import Report

app = typer.Typer(help="A made-up company lives through a campaign on a virtual clock.")
_SCENARIOS = "blaster, imminent, service-pack, rings or broken"


@app.callback(invoke_without_command=True)
def simulate(  # noqa: PLR0913, PLR0917 - one argument an option
    context: typer.Context,
    devices: Annotated[int, typer.Option(min=1, max=300_000, help="Machines of the company.")] = 60,
    days: Annotated[float, typer.Option(min=1, max=400, help="How long it lives.")] = 16,
    scenario: Annotated[str, typer.Option(help=f"What happens: {_SCENARIOS}.")] = "blaster",
    seed: Annotated[int, typer.Option(help="The same seed gives the same company, faults and trace.")] = 1,
    calm: Annotated[
        bool, typer.Option("--calm", help="No faults: nothing is lost, late, lying or dead.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="Write the curve here, as SVG.")] = None,
    json: Json = False,
) -> None:
    """Let a company live through one scenario, judge it by all invariants, and print the numbers of P10."""
    if context.invoked_subcommand is not None:
        return
    from forestall.domain.errors import InputError
    from forestall.simulate.company import make_company
    from forestall.simulate.report import picture as draw
    from forestall.simulate.report import report
    from forestall.simulate.run import run
    from forestall.simulate.scenario import SCENARIOS, Name, squeezed

    if scenario not in set(Name):
        raise InputError(f"There is no scenario “{scenario[:40]}”; take {_SCENARIOS}.")
    with typer.progressbar(
        length=int(days), label=scenario, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def watch(now: datetime) -> None:
            bar.label = f"{scenario} {now:%a %d %b}"
            bar.update(1)

        lived = run(
            squeezed(SCENARIOS[Name(scenario)], int(days)), make_company(devices, seed), days, seed,
            stormy=not calm, watch=watch,
        )  # fmt: skip
    found = report(lived)
    if picture is not None:
        picture.write_text(draw(lived))
    if json:
        print_json(found)
    else:
        _tell(found, picture)
    if found.violations:
        raise typer.Exit(1)


def _tell(found: "Report", picture: Path | None) -> None:
    known = found.standing
    print_line(f"{found.scenario}: {found.devices} machines, {found.days:g} days, seed {found.seed}")
    print_line(
        f"  rated after {found.hours_to_rate} h, distributed {found.hours_to_distribute} h after hand-over (P10.1)"
    )
    print_line(
        f"  99 % fixed after {found.days_to_99} days" if found.days_to_99 else "  99 % fixed: not reached"
    )
    print_line(
        f"  fixed: {known.voluntary} by themselves, {known.late} late, {known.forced} by force, "
        f"{known.after_removal} after removal; {known.pending_restart} wait for a restart, {known.affected} affected, "
        f"{known.unknown} unknown, {known.exempt} exempt"
    )
    print_line(
        f"  {found.forced} forced installs, {found.warned} final warnings, {found.removed} removals "
        f"({found.removed_in_time} within the quarter of an hour), {found.let_back} let back"
    )
    if picture is not None:
        print_line(f"  the curve: {picture}")
    for each in found.violations[:20]:
        print_line(f"VIOLATION {each.invariant} at {each.at:%d %b %H:%M}: {each.what}")
    print_line(f"  {len(found.violations)} violations; trace {found.trace_hash[:16]}")


@app.command()
def soak(
    campaigns: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="How many, each with its own seed.")
    ] = 500,
    first_seed: Annotated[int, typer.Option(help="The seeds count up from here.")] = 1,
    jobs: Annotated[int, typer.Option(min=0, max=256, help="Several at a time; 0: one a processor.")] = 0,
    json: Json = False,
) -> None:
    """Let many small companies live; any violation names its seed, which `soak --first-seed` replays."""
    from forestall.clock import stopwatch
    from forestall.simulate.soak import TAME_BELOW, Lived, never_happened
    from forestall.simulate.soak import soak as live_all

    began, seen, wrong = stopwatch(), Counter[str](), list[Lived]()
    with typer.progressbar(
        live_all(campaigns, first_seed, jobs),
        length=campaigns,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as lives:
        for lived in lives:
            seen += lived.sometimes
            if lived.violations:
                wrong.append(lived)
    missing = never_happened(seen) if campaigns >= TAME_BELOW else []
    seconds = stopwatch() - began
    if json:
        print_json({
            "campaigns": campaigns, "violations": sum(len(each.violations) for each in wrong),
            "seconds": round(seconds, 1), "seeds": [each.seed for each in wrong],
            "never_happened": missing, "sometimes": dict(sorted(seen.items())),
        })  # fmt: skip
    else:
        print_line(f"{campaigns} campaigns in {seconds:.0f} s, {len(wrong)} with violations")
        for each in wrong[:20]:
            print_line(f"seed {each.seed}: {each.violations[0].invariant} {each.violations[0].what}")
        for name in missing:
            print_line(f"too tame: never happened: {name}")
    if wrong or missing:
        raise typer.Exit(1)


@app.command()
def mutants(
    seeds: Annotated[
        int, typer.Option(min=1, max=100_000, help="Campaigns tried on each planted fault.")
    ] = 300,
    jobs: Annotated[int, typer.Option(min=0, max=256, help="Several at a time; 0: one a processor.")] = 0,
    json: Json = False,
) -> None:
    """Plant one fault after the other in the core: the invariants must find it, or another rule masks it."""
    from forestall.simulate.mutants import MUTANTS, Verdict, hunt_all, summary

    with typer.progressbar(
        hunt_all(seeds, jobs), length=len(MUTANTS), file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as hunted:
        verdicts: list[Verdict] = list(hunted)
    if json:
        print_json(summary(verdicts))
    else:
        print_table(
            ["planted fault", "what is wrong", "found by", "seed", "else masked by"],
            ([v.name, v.what, v.invariant or "-", v.seed or "-", v.masked_by or "-"] for v in verdicts),
            empty="",
        )
    if any(not verdict.invariant and not verdict.masked_by for verdict in verdicts):
        raise typer.Exit(1)
