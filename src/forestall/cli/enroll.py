"""`forestall enroll`: how machines become managed."""

from datetime import timedelta
from typing import Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line

app = typer.Typer(help="How machines become managed.", no_args_is_help=True)


@app.callback()
def enroll() -> None:
    """How machines become managed."""


@app.command()
def token(
    site: Annotated[
        str, typer.Option(help="Machines enrolled with this token belong to this site.")
    ] = "main",
    uses: Annotated[int, typer.Option(min=1, max=100_000, help="How many machines may use it.")] = 1,
    hours: Annotated[int, typer.Option(min=1, max=24, help="How long it is valid.")] = 24,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Make a token that enrols machines: it is shown this once and counted."""
    from forestall.clock import utc_now
    from forestall.server.operators import make_token
    from forestall.server.trust_place import trust_place
    from forestall.server.wiring import opened
    from forestall.trust.metadata import fingerprint
    from forestall.trust.roles import Role

    with opened(data) as installation:
        now = utc_now()
        made = make_token(installation.database, site, uses, timedelta(hours=hours), by, now)
        repository = trust_place(installation.settings.directory).repository
        root = fingerprint(repository.newest(Role.ROOT)) if repository.exists else ""
    if json:
        expires_at = now + timedelta(hours=hours)
        print_json({"token": made, "site": site, "uses": uses, "expires_at": expires_at, "fingerprint": root})
        return
    print_line(made)
    print_line(f"For {uses} machine(s) at {site}, valid {hours} h. On the machine:")
    print_line(f"  forestall-agent enrol --server http://{installation.settings.bind} --token {made}")
    if root:
        print_line(f"    --fingerprint {root}")
    else:
        print_line("There are no keys yet, so no machine can be enrolled. First: forestall keys ceremony")
