"""`forestall directory`: people from the company's LDAP directory."""

from typing import Annotated

import typer

from forestall.cli.options import Directory
from forestall.cli.output import Json, print_json, print_line

app = typer.Typer(help="People from the company's LDAP directory.", no_args_is_help=True)


@app.command()
def pull(
    accept: Annotated[bool, typer.Option("--accept", help="Believe it although it shrank.")] = False,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Read everybody now; a directory that fails or shrank leaves the last good copy in force."""
    from forestall.domain.errors import InputError
    from forestall.server.directory import read_directory
    from forestall.server.wiring import opened

    with opened(data) as installation:
        settings = installation.settings
        if settings.ldap is None:
            raise InputError("No directory is named: [directory] in forestall.toml, see docs/mail.md")
        read = read_directory(installation.database, settings.ldap, settings.directory, accept=accept)
    if json:
        print_json(read)
    elif read.trouble:
        print_line(f"{read.trouble}; the last good copy of {read.people} people stays in force.")
    else:
        print_line(f"{read.people} people read; {read.refused} entries have no mail address.")
    if read.trouble:
        raise typer.Exit(1)
