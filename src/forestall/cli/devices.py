"""`forestall devices` and `forestall why`: the machines, and why each stands as it does."""

from typing import Annotated

import typer

from forestall.cli.options import Directory
from forestall.cli.output import Json, print_json, print_line, print_table


def devices(data: Directory = None, json: Json = False) -> None:
    """List the machines we know."""
    from forestall.server.wiring import opened
    from forestall.store import devices as stored

    with opened(data) as installation, installation.database.begin() as con:
        found = stored.everything(con)
    if json:
        print_json(found)
        return
    print_table(
        ["machine", "name", "site", "managed", "protected", "last seen (UTC)"],
        (
            [d.id, d.name, d.site, "yes" if d.managed else "no", "yes" if d.protected else "", d.seen_at]
            for d in found
        ),
        empty="No machine yet. Enrol one: forestall enroll token",
    )


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
        for row in answer.rules:
            mark = "=>" if row.applies else "  "
            print_line(f"  {mark} {row.paragraph:5} {row.name:18} {row.missed or row.meaning}")
        for entry in answer.story:
            print_line(
                f"  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.kind:14} {entry.rule or '-':18} {entry.detail}"
            )
    if not answers:
        print_line(f"{machine} is in no campaign: no open campaign concerns it.")
