"""`forestall rings`: who gets a patch before whom, and how a campaign's test stands (P4)."""

from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table

if TYPE_CHECKING:
    from forestall.server.rings import RingStanding

app = typer.Typer(help="Who gets a patch before whom, and how it is tested.", no_args_is_help=True)
Which = Annotated[str, typer.Argument(help="team, volunteers, early or critical-last.")]
Machines = Annotated[list[str] | None, typer.Argument(help="Machines by id or name.")]
Site = Annotated[str, typer.Option(help="Or all managed machines of this site.")]
Name = Annotated[str, typer.Argument(help="The campaign's id, as `forestall campaign ls` shows it.")]


@app.command(name="ls")
def list_rings(data: Directory = None, json: Json = False) -> None:
    """Count the machines of every ring; who is on no list is in the broad one."""
    from forestall.server.rings import ring_counts
    from forestall.server.wiring import opened

    with opened(data) as installation:
        counts = ring_counts(installation.database)
    if json:
        print_json(counts)
        return
    print_table(["ring", "machines"], counts.items(), empty="")
    print_line("Who is on a list: forestall rings show RING")


@app.command()
def show(ring: Which, data: Directory = None, json: Json = False) -> None:
    """List the machines of one ring."""
    from forestall.server.rings import ring_members, ring_named
    from forestall.server.wiring import opened

    wanted = ring_named(ring, listed=True)
    with opened(data) as installation:
        members = ring_members(installation.database, wanted)
    if json:
        print_json([member._asdict() for member in members])
        return
    print_table(
        ["machine", "name", "site", "put there by", "since (UTC)"],
        ([m.device, m.name, m.site, m.by, m.since] for m in members),
        empty=f"Nobody is in it. Put machines there: forestall rings add {wanted} MACHINE",
    )


@app.command()
def add(
    ring: Which,
    machines: Machines = None,
    site: Site = "",
    share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Only this share of them: 0.05 is 5 %.")
    ] = None,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Put machines into a ring; each is in one at most."""
    from forestall.clock import utc_now
    from forestall.server.rings import Selection, put_into, ring_named
    from forestall.server.wiring import opened

    wanted = ring_named(ring, listed=True)
    with opened(data) as installation:
        selection = Selection(tuple(machines or ()), site, share)
        changed = put_into(installation.database, wanted, selection, by, utc_now())
    if json:
        print_json({"ring": wanted, "changed": changed})
    else:
        print_line(f"{len(changed)} machine(s) put into the ring {wanted}.")


@app.command()
def remove(
    machines: Machines = None, site: Site = "", by: By = "", data: Directory = None, json: Json = False
) -> None:
    """Take machines off their lists: they are in the broad ring again."""
    from forestall.clock import utc_now
    from forestall.server.rings import Selection, put_into
    from forestall.server.wiring import opened

    with opened(data) as installation:
        selection = Selection(tuple(machines or ()), site)
        changed = put_into(installation.database, None, selection, by, utc_now())
    if json:
        print_json({"ring": "broad", "changed": changed})
    else:
        print_line(f"{len(changed)} machine(s) taken off their lists.")


@app.command(name="test")
def show_test(name: Name, data: Directory = None, json: Json = False) -> None:
    """Show how a campaign's test stands: the hours since the hand-over, each ring's answers, what opens the next."""
    from forestall.clock import utc_now
    from forestall.server.rings import ring_standing
    from forestall.server.wiring import opened

    with opened(data) as installation:
        found = ring_standing(installation.database, name, utc_now(), installation.policy)
    if json:
        print_json(found)
    else:
        tell_test(found)


@app.command(name="testers")
def list_testers(
    name: Name,
    ring: Annotated[str, typer.Option(help="Only of this ring, also one that has not got it yet.")] = "",
    verdict: Annotated[
        str, typer.Option(help="Only: clean, trying, waiting, quiet, silent, failed, broke or refuted.")
    ] = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """List the machines of a campaign's rings, each with its verdict and what its person says."""
    from forestall.clock import utc_now
    from forestall.domain.errors import InputError
    from forestall.domain.trial import Verdict
    from forestall.server.rings import ring_named, trial_rows
    from forestall.server.wiring import opened

    if verdict and verdict not in set(Verdict):
        raise InputError(f"There is no verdict “{verdict[:40]}”; take one of: {', '.join(Verdict)}")
    wanted = [ring_named(ring)] if ring else []
    only = Verdict(verdict) if verdict else None
    with opened(data) as installation:
        rows = trial_rows(installation.database, name, utc_now(), installation.policy, wanted, only)
    if json:
        print_json([row._asdict() for row in rows])
        return
    print_table(
        ["machine", "name", "ring", "verdict", "rule", "paragraph", "installed (UTC)", "what is wrong"],
        (
            [
                r.device,
                r.name,
                r.ring,
                r.verdict,
                r.rule,
                r.paragraph,
                r.installed_at,
                "; ".join([*r.services, r.broke]),
            ]
            for r in rows
        ),
        empty=f"No such machine in {name}.",
    )


def tell_test(found: "RingStanding") -> None:
    """Say how a campaign's test stands."""
    from forestall.domain.duration import format_duration

    hours = found.hours
    print_line(
        f"{found.campaign}: handed over {hours.handed_over_at:%Y-%m-%d %H:%M} UTC, {hours.haste} (P4.4)"
    )
    print_line(f"  tested {_when(hours.tested_at)}; distributed {_when(hours.distributed_at)}")
    print_line(
        f"  {format_duration(hours.taken)} so far, {format_duration(hours.due_at - hours.handed_over_at)} at most"
        if hours.distributed_at is None
        else f"  {format_duration(hours.taken)} from the hand-over"
    )
    if hours.late:
        print_line(f"  LATE by {format_duration(hours.late)}: due {hours.due_at:%Y-%m-%d %H:%M} UTC")
    print_table(
        ["ring", "has it", "machines", "clean", "trying", "waiting", "quiet", "harmed", "refuted", "proven"],
        (
            [
                row.ring, "yes" if row.open else "held", row.machines, row.count("clean"), row.count("trying"),
                row.count("waiting"), row.count("quiet", "silent"), row.count("failed", "broke"),
                row.count("refuted"), row.proven,
            ]
            for row in found.rings
        ),
        empty="Tested by hand. Next: forestall campaign distribute " + found.campaign,
    )  # fmt: skip
    judged = found.judgement
    if judged is not None:
        print_line(
            f"  {judged.next}: {judged.rule.then} ({judged.rule.name}, {judged.rule.paragraph}): {judged.why}"
        )
    if found.rings:
        print_line(f"  {found.proof['en']}")
        print_line(f"Who they are: forestall rings testers {found.campaign}")


def _when(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "not yet"
