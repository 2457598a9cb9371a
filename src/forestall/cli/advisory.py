"""`forestall advisory`: what the sources published, and what of it concerns our machines."""

from typing import Annotated

import typer

from forestall.cli.options import Directory
from forestall.cli.output import Json, print_json, print_line, print_table

app = typer.Typer(
    help="What the sources published, and what of it concerns our machines.", no_args_is_help=True
)


@app.command()
def pull(
    address: Annotated[
        str, typer.Argument(help="A file, a directory or an https address; nothing: the bundle.")
    ] = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Read advisories; a broken source leaves its last good copy in force."""
    from forestall.clock import utc_now
    from forestall.server.catalogue import pull as read
    from forestall.server.wiring import opened

    with opened(data) as installation:
        reports = read(installation.database, address, utc_now())
    if json:
        print_json(reports)
    else:
        rows = ([r.feed, r.records, len(r.refused), r.trouble or "in force"] for r in reports)
        print_table(["source", "records", "refused", "state"], rows, empty="There was nothing to read.")
        for report in reports:
            for refusal in report.refused[:5]:
                print_line(f"{report.feed}: left out {refusal.record}: {refusal.reason}")
    if any(report.trouble for report in reports):
        raise typer.Exit(1)


@app.command(name="ls")
def list_updates(
    everything: Annotated[
        bool, typer.Option("--all", help="Also updates that no machine of ours needs.")
    ] = False,
    data: Directory = None,
    json: Json = False,
) -> None:
    """List open updates, worst first; the unit is the update."""
    from forestall.server.triage import triage
    from forestall.server.wiring import opened

    with opened(data) as installation:
        rows = triage(installation.database, everything=everything)
    if json:
        print_json(rows)
        return
    print_table(
        ["update", "proposal", "rated", "machines", "why"],
        ([r.remediation, r.level, r.rated, r.affected, r.reasons[0] if r.reasons else ""] for r in rows),
        empty="Nothing is open on the machines we know. More machines: forestall enroll token",
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="An advisory, a CVE, or an update as `advisory ls` names it.")],
    data: Directory = None,
    json: Json = False,
) -> None:
    """Show updates behind a name: the proposal with its reasons, and how many machines are concerned."""
    from forestall.domain.errors import InputError
    from forestall.server.triage import named
    from forestall.server.wiring import opened

    with opened(data) as installation:
        rows = named(installation.database, name)
    if not rows:
        raise InputError(
            f"No advisory, CVE or update is called “{name[:80]}”. List them: forestall advisory ls --all"
        )
    if json:
        print_json(rows)
        return
    for row in rows:
        print_line(f"{row.remediation}  proposed {row.level}, {row.affected} machine(s) affected")
        print_line(
            f"  advisories: {', '.join(row.advisories) or 'none'}; published {row.published_at:%Y-%m-%d}"
        )
        print_line(
            f"  three E's: escalation {row.escalation}, expansion {row.expansion}, exposure {row.exposure}"
        )
        for reason in row.reasons:
            print_line(f"  - {reason}")
