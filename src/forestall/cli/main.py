"""The `forestall` command: one face for operators; every part imports what it needs only when it runs."""

import sys

import typer

from forestall.cli import (
    advisory,
    agent_archive,
    ask,
    campaign,
    demo,
    devices,
    directory,
    disagree,
    doctor,
    enroll,
    find,
    keys,
    ledger,
    machines,
    mail,
    match,
    network,
    probe,
    rate,
    rings,
    rules,
    signer,
    simulate,
    up,
    versions,
)
from forestall.cli.output import harmless
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
app.add_typer(rings.app, name="rings")
app.add_typer(ask.app, name="ask")
app.command("approvals")(ask.approvals)
app.command("approve")(ask.approve)
app.command("exempt")(machines.exempt)
app.command("exemptions")(machines.exemptions)
app.command("protect")(machines.protect)
app.command("unprotect")(machines.unprotect)
app.add_typer(devices.app, name="devices")
app.add_typer(directory.app, name="directory")
app.add_typer(disagree.app, name="disagree")
app.command("why")(devices.why)
app.add_typer(find.app, name="find")
app.add_typer(probe.app, name="probe")
app.add_typer(enroll.app, name="enroll")
app.add_typer(keys.app, name="keys")
app.command("signer")(signer.signer)
app.command("agent-archive")(agent_archive.agent_archive)
app.add_typer(ledger.app, name="ledger")
app.add_typer(mail.app, name="mail")
app.command("match")(match.match)
app.add_typer(versions.app, name="versions")
app.add_typer(network.app, name="network")
app.command("demo")(demo.demo)
app.command("rules")(rules.rules)
app.add_typer(simulate.app, name="simulate")


def main() -> None:
    """Run the command; a person gets one sentence, never a stack trace."""
    try:
        app()
    except ForestallError as error:
        sys.exit(_said(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        sys.exit(_said(error))


def _said(error: Exception) -> int:
    """Say what is wrong, each line of it harmless; a policy file may have several faults."""
    lines = [harmless(line) for line in str(error).splitlines()]
    sys.stderr.write("forestall: " + "\n".join(lines) + "\n")
    return 1
