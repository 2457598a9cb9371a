"""The `forestall` command: one face for operators; every part imports what it needs only when it runs."""

import sys

import typer

from forestall.cli import (
    advisory,
    campaign,
    demo,
    devices,
    doctor,
    enroll,
    find,
    ledger,
    match,
    probe,
    rate,
    rules,
    up,
    versions,
)
from forestall.domain.errors import ForestallError

app = typer.Typer(
    name="forestall",
    help="Drives every patch to every machine of a company before the exploit arrives.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("up")(up.up)
app.command("doctor")(doctor.doctor)
app.add_typer(advisory.app, name="advisory")
app.command("rate")(rate.rate)
app.add_typer(campaign.app, name="campaign")
app.command("devices")(devices.devices)
app.command("why")(devices.why)
app.add_typer(find.app, name="find")
app.add_typer(probe.app, name="probe")
app.add_typer(enroll.app, name="enroll")
app.add_typer(ledger.app, name="ledger")
app.command("match")(match.match)
app.add_typer(versions.app, name="versions")
app.command("demo")(demo.demo)
app.command("rules")(rules.rules)


def main() -> None:
    """Run the command; a person gets one sentence, never a stack trace."""
    try:
        app()
    except ForestallError as error:
        sys.stderr.write(f"forestall: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
