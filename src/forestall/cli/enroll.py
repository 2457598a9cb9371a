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
    from forestall.server.settings import split_bind
    from forestall.server.trust_place import trust_place
    from forestall.server.wiring import opened
    from forestall.trust.device_ca import open_ca
    from forestall.trust.metadata import fingerprint
    from forestall.trust.roles import Role

    with opened(data) as installation:
        now, settings = utc_now(), installation.settings
        # The token names the authority: a machine knows its server before it tells the token to anybody.
        authority = open_ca(settings.device_ca, now).fingerprint
        made = make_token(installation.database, site, uses, timedelta(hours=hours), by, now)
        made = f"{made}.{authority}"
        repository = trust_place(settings.directory).repository
        root = fingerprint(repository.newest(Role.ROOT)) if repository.exists else ""
    if json:
        expires_at = now + timedelta(hours=hours)
        print_json({"token": made, "site": site, "uses": uses, "expires_at": expires_at, "fingerprint": root})
        return
    host, port = split_bind(settings.agents.bind)
    print_line(made)
    print_line(f"For {uses} machine(s) at {site}, valid {hours} h. On the machine:")
    server = f"https://{settings.agents.known_as(host)[0]}:{port}"
    print_line(f"  forestall-agent enrol --server {server} --token {made}")
    if root:
        print_line(f"    --fingerprint {root}")
    else:
        print_line("There are no keys yet, so no machine can be enrolled. First: forestall keys ceremony")
