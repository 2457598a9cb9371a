"""`forestall devices` and `forestall why`: the machines, and why each stands as it does."""

from dataclasses import asdict
from typing import Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.identity import Void

app = typer.Typer(help="The machines we know.", invoke_without_command=True)


@app.callback()
def devices(context: typer.Context, data: Directory = None, json: Json = False) -> None:
    """List the machines we know."""
    from forestall.server.wiring import opened
    from forestall.store import devices as stored
    from forestall.store import identities

    if context.invoked_subcommand is not None:
        return
    with opened(data) as installation, installation.database.begin() as con:
        found, voided = stored.everything(con), identities.voided(con)
    if json:
        print_json([{**asdict(d), "void": voided.get(d.id)} for d in found])
        return
    print_table(
        ["machine", "name", "site", "managed", "protected", "last seen (UTC)", "certificate"],
        (
            [
                d.id,
                d.name,
                d.site,
                "yes" if d.managed else "no",
                "yes" if d.protected else "",
                d.seen_at,
                _certificate(voided.get(d.id)),
            ]
            for d in found
        ),
        empty="No machine yet. Enrol one: forestall enroll token",
    )


def _certificate(void: Void | None) -> str:
    return "cloned: enrol both machines again" if void is Void.CLONED else void or ""


@app.command()
def revoke(
    machine: Annotated[str, typer.Argument(help="The machine's id or name.")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Hear a machine no more, from now on: its certificate is void, and to come back it is enrolled again."""
    from forestall.clock import utc_now
    from forestall.server.machines import revoke
    from forestall.server.wiring import opened

    with opened(data) as installation:
        device = revoke(installation, machine, reason, by, utc_now())
    if json:
        print_json(device)
        return
    print_line(f"{device.name} ({device.id}) is heard no more. To take it back: forestall enroll token")


def why(
    machine: Annotated[str, typer.Argument(help="The machine's id or name.")],
    data: Directory = None,
    json: Json = False,
) -> None:
    """Say why a machine stands as it does: the rules in order, with times."""
    from forestall.clock import utc_now
    from forestall.server.explain import explain
    from forestall.server.wiring import opened

    with opened(data) as installation:
        answers = explain(installation.database, machine, utc_now(), installation.policy)
    if json:
        print_json(answers)
        return
    for answer in answers:
        print_line(f"{answer.name} ({answer.device}) in {answer.campaign}: {answer.status}")
        for line in answer.evidence:
            print_line(f"  seen   {line}")
        for line in answer.where:
            print_line(f"  at     {line}")
        for row in answer.rules:
            mark = "=>" if row.applies else "  "
            print_line(f"  {mark} {row.paragraph:5} {row.name:18} {row.missed or row.meaning}")
        for entry in answer.story:
            print_line(
                f"  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.kind:14} {entry.rule or '-':18} {entry.detail}"
            )
    if not answers:
        print_line(f"{machine} is in no campaign: no open campaign concerns it.")
