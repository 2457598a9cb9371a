"""`forestall ledger`: the record of everything that was decided and done."""

from pathlib import Path
from typing import Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table

app = typer.Typer(help="The record of everything that was decided and done.", no_args_is_help=True)


@app.command()
def show(
    campaign: Annotated[str, typer.Option(help="Only entries of this campaign.")] = "",
    subject: Annotated[str, typer.Option(help="Only entries about this machine, update or source.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest this many.")] = 100,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Show the newest entries, oldest first."""
    from forestall.server.wiring import opened
    from forestall.store import ledger

    with opened(data) as installation, installation.database.begin() as con:
        entries = ledger.about(con, campaign=campaign, subject=subject, limit=limit)
    if json:
        print_json(entries)
        return
    print_table(
        ["entry", "at (UTC)", "what", "who", "on", "rule", "paragraph"],
        (
            [e.sequence, e.at, e.event.kind, e.event.actor, e.event.subject, e.event.rule, e.event.paragraph]
            for e in entries
        ),
        empty="Nothing has happened yet.",
    )


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Written anew: one JSON entry a line.")],
    data: Directory = None,
    json: Json = False,
) -> None:
    """Write the whole ledger to a file, for a verifier without the database."""
    from forestall.server.ledger_file import write_ledger
    from forestall.server.wiring import opened

    with opened(data) as installation:
        head = write_ledger(installation.database, file)
    if json:
        print_json({"file": str(file), "entries": head.sequence, "head": head})
    else:
        print_line(f"{file}: {head.sequence} entries, head {head.sequence}:{head.hash}")


@app.command()
def replay(
    reason: Annotated[str, typer.Option(help="Why: recorded, and shown to the second person.")],
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Ask to bring back what a restored database has lost, from the ledger; somebody else approves it (A12)."""
    from forestall.cli.ask import say_asked
    from forestall.clock import utc_now
    from forestall.domain.approval import Matter
    from forestall.server.approvals import ask
    from forestall.server.wiring import opened

    with opened(data) as installation:
        asked = ask(installation, Matter.REPLAY, reason, by, utc_now())
        alone = not installation.policy.second_person
    say_asked(asked, alone=alone, json=json)


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An exported ledger; nothing: the database's.")] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(help="NUMBER:HASH kept elsewhere; finds cut-off newest entries. Repeatable."),
    ] = None,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Check the chain: an entry that was changed, removed or cut off is named."""
    from forestall.server.ledger_file import check_database, check_file, read_heads
    from forestall.server.wiring import opened

    kept = read_heads(head or [])
    if file is not None:
        checked = check_file(file, kept)
    else:
        with opened(data) as installation:
            checked = check_database(installation.database, kept)
    if json:
        print_json(checked)
    elif checked.flaw is None:
        print_line(
            f"{checked.entries} entries are what they were; head {checked.head.sequence}:{checked.head.hash}"
        )
    else:
        print_line(f"NOT what it was: entry {checked.flaw.sequence} {checked.flaw.why}")
    if checked.flaw is not None:
        raise typer.Exit(1)
