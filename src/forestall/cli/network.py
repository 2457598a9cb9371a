"""`forestall network`: the enforcement points. All of it works from the settings alone, without server and database."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table

if TYPE_CHECKING:
    from forestall.network.enforcement import Freed
    from forestall.network.point import Marked, Refusal
    from forestall.server.enforcement import Enforcement

app = typer.Typer(help="Where machines are taken off the network and let back.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class PointRow:
    """One enforcement point; `trouble` is empty where it answers."""

    name: str
    sites: tuple[str, ...]
    detail: str
    trouble: str


@app.command()
def status(data: Directory = None, json: Json = False) -> None:
    """Ask every enforcement point: does it answer, what does it see, what has it closed?"""
    from forestall.network.enforcement import look_at
    from forestall.network.point import Refusal

    with _enforcement(data) as enforcement:
        sights = enforcement.run(look_at(enforcement.points))
    rows: list[PointRow] = []
    marks: list[Marked] = []
    for point in enforcement.points:
        sight = sights[point.name]
        if isinstance(sight, Refusal):
            rows.append(PointRow(point.name, tuple(sorted(point.sites)), "", str(sight)))
        else:
            rows.append(PointRow(point.name, tuple(sorted(point.sites)), sight.detail, ""))
            marks += sight.marks()
    mode = "stopped" if enforcement.stopped else "simulate" if enforcement.simulate else "enforce"
    if json:
        print_json({"mode": mode, "points": rows, "closed": marks})
        return
    print_line(f"mode: {mode}")
    if enforcement.stopped:
        print_line("The glass was broken: nothing is closed until `forestall network resume`.")
    print_table(
        ["point", "sites", "what it says", "trouble"],
        ([row.name, ", ".join(row.sites) or "all", row.detail, row.trouble] for row in rows),
        empty="No enforcement point yet: docs/network.md says how to connect one.",
    )
    print_table(
        ["closed at", "point", "machine", "campaigns", "reads"],
        (
            [m.place, m.point, m.device, ", ".join(m.campaigns), "closed" if m.closed else "OPEN"]
            for m in marks
        ),
        empty="Nothing carries our mark.",
    )


@app.command()
def plan(
    address: Annotated[list[str], typer.Argument(help="A machine's MAC and IP addresses.")],
    site: Annotated[str, typer.Option(help="The machine's site; nothing: any.")] = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Show what would be sent to take a machine off the network, or why it would not; nothing is sent."""
    from forestall.domain.address import canonical
    from forestall.network.enforcement import preview
    from forestall.network.point import Refusal, Target

    wrong = next((each for each in address if not canonical(each)), None)
    if wrong is not None:
        raise typer.BadParameter(f"“{wrong[:60]}” is no MAC or IP address")
    target = Target("m-preview", "preview", site, tuple(map(canonical, address)))
    with _enforcement(data) as enforcement:
        found = enforcement.run(preview(enforcement.points, target, enforcement.protected))
    refusal = found if isinstance(found, Refusal) else None
    plans = () if isinstance(found, Refusal) else found
    if json:
        steps = [{"point": p.point, "place": p.place, "steps": [s.text for s in p.steps]} for p in plans]
        print_json({"refused": refusal, "plans": steps})
        return
    if refusal is not None:
        print_line(f"would not: {refusal}")
    for each in plans:
        print_line(f"{each.place} at {each.point}:")
        for step in each.steps:
            print_line(f"  {step.text}")


@app.command()
def free(
    machine: Annotated[str, typer.Argument(help="The machine's id, as `forestall network status` shows it.")],
    data: Directory = None,
    json: Json = False,
) -> None:
    """Free one machine by the points' own marks; the server closes it again only on fresh proof."""
    with _enforcement(data) as enforcement:
        _free(enforcement, lambda device: device == machine, json=json)


@app.command(name="free-all")
def free_all(by: By = "", data: Directory = None, json: Json = False) -> None:
    """Break the glass: free everything with our mark, and close nothing more until `forestall network resume`."""
    from forestall.clock import utc_now

    with _enforcement(data) as enforcement:
        # First of all: a server that still runs must not close again what is opened here.
        said = f"{utc_now():%Y-%m-%d %H:%M:%S} UTC by {by or 'unknown'}\n"
        enforcement.stop_file.write_text(said, encoding="utf-8")
        _free(enforcement, lambda _device: True, json=json)


@app.command()
def resume(data: Directory = None, json: Json = False) -> None:
    """Let enforcement go on after the glass was broken."""
    with _enforcement(data) as enforcement:
        stop = enforcement.stop_file
    was = stop.read_text(encoding="utf-8").strip() if stop.exists() else ""
    stop.unlink(missing_ok=True)
    if json:
        print_json({"was_stopped": was})
    else:
        print_line(f"Enforcement goes on (it was stopped {was})." if was else "Enforcement was not stopped.")


@contextmanager
def _enforcement(data: Path | None) -> "Iterator[Enforcement]":
    from forestall.server.enforcement import enforcement_of
    from forestall.server.settings import load_settings

    with closing(enforcement_of(load_settings(data))) as enforcement:
        yield enforcement


def _free(enforcement: "Enforcement", wanted: Callable[[str], bool], *, json: bool) -> None:
    from forestall.clock import stopwatch
    from forestall.network.enforcement import free as free_marked

    started = stopwatch()
    freed, silent = enforcement.run(free_marked(enforcement.points, wanted))
    seconds = round(stopwatch() - started, 2)
    if json:
        print_json({"freed": freed, "silent": silent, "seconds": seconds})
    else:
        _report(freed, silent, seconds)
    if silent or any(each.trouble for each in freed):
        raise typer.Exit(1)


def _report(freed: "list[Freed]", silent: "list[Refusal]", seconds: float) -> None:
    print_table(
        ["freed", "point", "machine", "campaigns", "trouble"],
        ([each.place, each.point, each.device, ", ".join(each.campaigns), each.trouble] for each in freed),
        empty="Nothing carries our mark.",
    )
    for refusal in silent:
        print_line(
            f"NOT reached: {refusal}; run this again, or open its ports by hand (look for “[forestall”)."
        )
    print_line(f"{sum(not each.trouble for each in freed)} freed in {seconds} s")
