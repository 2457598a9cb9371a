"""`forestall probe`: safe checks over the network, within the scope."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.errors import InputError

if TYPE_CHECKING:
    from forestall.domain.scope import Scope
    from forestall.probes.probe import Finding, Flaw
    from forestall.server.wiring import Installation

app = typer.Typer(help="Safe checks over the network, within the scope.", no_args_is_help=True)


class Engine(StrEnum):
    """Who asks."""

    OWN = "own"
    NMAP = "nmap"


class Format(StrEnum):
    """Whose file it is."""

    NMAP = "nmap"
    NUCLEI = "nuclei"


@app.command(name="ls")
def list_probes(json: Json = False) -> None:
    """List the probes: what each tells, what its answer is worth, what it risks and why it does no harm."""
    from dataclasses import fields

    from forestall.probes.probe import PROBES

    if json:
        names = [field.name for field in fields(PROBES[0]) if field.name != "conversation"]
        print_json([{name: getattr(probe, name) for name in names} for probe in PROBES])
        return
    print_table(
        ["probe", "port", "tells", "worth", "risk", "why it does no harm"],
        (
            [p.name, p.port, ", ".join((*p.flaws, *p.packages)) or "exposure", p.quality, p.risk, p.harmless]
            for p in PROBES
        ),
        empty="",
    )


@app.command()
def run(
    host: Annotated[str, typer.Argument(help="An IP address, or a machine's id or name.")],
    flaw: Annotated[
        str,
        typer.Option(help="A vulnerability, or an update as `advisory ls` names it; nothing: all probes."),
    ] = "",
    engine: Annotated[Engine, typer.Option(help="nmap, where it is installed, or our own.")] = Engine.OWN,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Probe one machine now; an address that is in no scope gets no packet. Nothing is stored."""
    from forestall.server.wiring import opened

    with opened(data) as installation:
        scope = installation.settings.scope
        if not scope.areas:
            raise InputError(
                "No scope is set, so nothing may be probed. Name networks in forestall.toml: [[scope]]"
            )
        addresses, wanted = _addresses(installation, host), _flaw(installation, flaw)
    ask = _by_nmap if engine is Engine.NMAP else _by_ourselves
    _show(ask(addresses, wanted, scope), json=json)


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="nmap's XML (-oX) or nuclei's JSON lines (-jsonl).")],
    kind: Annotated[Format, typer.Option("--as", help="Whose it is.")],
    json: Json = False,
) -> None:
    """Show what another scanner found."""
    from forestall.probes import nmap, nuclei

    try:
        content = file.read_bytes()
        found = nmap.read(content) if kind is Format.NMAP else [told.finding for told in nuclei.read(content)]
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    _show(found, json=json)


@app.command()
def accept(
    campaign: Annotated[str, typer.Argument(help="The campaign's id.")],
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Believe a campaign's probes although most machines answer as vulnerable: you have looked (A8)."""
    from forestall.clock import utc_now
    from forestall.domain.order import CampaignId
    from forestall.server.looking import accept_alarm, alarms
    from forestall.server.wiring import opened

    name = CampaignId(campaign)
    if not by.strip():
        raise InputError("Say who does this: --by NAME (it is recorded)")
    with opened(data) as installation:
        with installation.database.begin() as con:
            why, accepted = alarms(con, name)
        if not why:
            raise InputError(
                f"There is no alarm in a campaign “{campaign[:80]}”. List them: forestall campaign ls"
            )
        if not accepted:
            accept_alarm(installation.database, name, by, utc_now())
    if json:
        print_json({"campaign": name, "alarm": why, "accepted_by": by})
    else:
        print_line(f"{name}: what the probes say counts from now on ({why}).")


def _addresses(installation: "Installation", host: str) -> list[str]:
    from forestall.domain.address import read_address
    from forestall.store import devices

    if literal := read_address(host):
        return [str(literal)]
    with installation.database.begin() as con:
        found = devices.find(con, host)
    if len(found) != 1:
        raise InputError(
            f"“{host[:80]}” is no IP address, and {len(found)} machines are called so: forestall devices"
        )
    addresses = [str(ip) for text in found[0].addresses if (ip := read_address(text))]
    if not addresses:
        raise InputError(f"No IP address of “{host[:80]}” is known: forestall find ls")
    return addresses


def _flaw(installation: "Installation", text: str) -> "Flaw | None":
    from forestall.domain.advisory import VulnerabilityId
    from forestall.domain.remediation import RemediationId
    from forestall.probes.probe import Flaw
    from forestall.server.looking import flaw_of

    if not text:
        return None
    if text.count("/") != 2:
        return Flaw(frozenset({VulnerabilityId(text)}))
    with installation.database.begin() as con:
        return flaw_of(con, RemediationId(text))


def _by_ourselves(addresses: Sequence[str], flaw: "Flaw | None", scope: "Scope") -> "list[Finding]":
    from forestall.probes.probe import PROBES, probes_for
    from forestall.probes.probe import run as ask

    probes = PROBES if flaw is None else probes_for(flaw)
    if not probes:
        raise InputError("No probe tells this. What they tell: forestall probe ls")
    return ask([(address, probe) for address in addresses for probe in probes], scope, flaw)


def _by_nmap(addresses: Sequence[str], flaw: "Flaw | None", scope: "Scope") -> "list[Finding]":
    from forestall.probes import nmap

    scripts = nmap.SCRIPTS if flaw is None else nmap.scripts_for(flaw)
    if not scripts:
        raise InputError("No script of nmap that we use tells this; try --engine own")
    return [
        found for address in addresses for script in scripts for found in nmap.run(address, script, scope)
    ]


def _show(findings: "Sequence[Finding]", *, json: bool) -> None:
    if json:
        print_json(findings)
        return
    print_table(
        ["address", "probe", "status", "why", "proof"],
        ([f.address, f.probe, f.answer.status, f.answer.detail, f.answer.proof] for f in findings),
        empty="Nothing was found.",
    )
