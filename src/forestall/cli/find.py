"""`forestall find`: who is on the network, from tables that others keep and from knocking."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.errors import InputError
from forestall.domain.sighting import Joined
from forestall.sightings.cell import MOST_BYTES, Refusal

app = typer.Typer(help="Who is on the network, managed or not.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an import."""

    read: int
    refused: int
    machines: int
    new: int
    joined: Sequence[Joined]
    refusals: Sequence[Refusal]


@app.command(name="import")
def import_table(
    file: Annotated[Path, typer.Argument(help="The table.")],
    kind: Annotated[
        str,
        typer.Option(
            "--as",
            help="neighbours, dnsmasq, isc, kea, forwarding, accounting, csv or json.",
        ),
    ],
    site: Annotated[str, typer.Option(help="Where it was taken.")] = "main",
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Read a table of who is here: each row is a sighting, and sightings become machines with all their addresses."""
    from forestall.clock import utc_now
    from forestall.domain.device import SiteId
    from forestall.server.finding import take_in
    from forestall.server.wiring import opened
    from forestall.sightings.kinds import kind_named

    now, content, table = utc_now(), _content(file), kind_named(kind)
    try:
        read = table.read(content, SiteId(site), now)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    with opened(data) as installation:
        settings, database = installation.settings, installation.database
        taken = take_in(database, read.sightings, by or "import", now, settings.accounts())
    answer = Answer(
        len(read.sightings), read.refused, taken.machines, len(taken.new), taken.joined, read.refusals
    )
    if json:
        print_json(answer)
        return
    for refusal in answer.refusals:
        print_line(f"left out {refusal.where}: {refusal.reason}")
    print_line(f"{answer.read} sightings read, {answer.refused} rows refused")
    print_line(f"{answer.machines} machines were seen lately, {answer.new} of them are new")
    for joined in answer.joined:
        print_line(f"joined {joined.absorbed} to {joined.kept}: {joined.because}")


@app.command(name="ls")
def list_machines(data: Directory = None, json: Json = False) -> None:
    """List who was seen in the last month, with all addresses and by what."""
    from forestall.server.finding import machines
    from forestall.server.wiring import opened

    with opened(data) as installation:
        found = machines(installation.database)
    if json:
        print_json(found)
        return
    print_table(
        ["machine", "name", "site", "managed", "addresses", "user", "port", "seen by", "last seen (UTC)"],
        (
            [
                m.id,
                m.name,
                m.site,
                "yes" if m.managed else "no",
                " ".join((*m.addresses, *m.hardware)),
                m.user,
                m.port,
                ", ".join(m.sources),
                m.last_seen_at,
            ]
            for m in found
        ),
        empty="Nobody was seen yet. Import a table: forestall find import FILE --as neighbours",
    )


@app.command()
def where(
    machine: Annotated[str, typer.Argument(help="A machine's id, name or address.")],
    data: Directory = None,
    json: Json = False,
) -> None:
    """Say at which port a machine is, by what, since when, and where it was before."""
    from forestall.server.finding import whereabouts
    from forestall.server.wiring import opened

    with opened(data) as installation:
        found = whereabouts(installation.database, machine)
    if json:
        print_json(found)
        return
    print_table(
        ["machine", "port", "VLAN", "by", "since (UTC)", "last seen (UTC)", "before"],
        ([a.device, a.port, a.vlan or "", a.source, a.since, a.seen_at, a.before] for a in found),
        empty="No switch and no RADIUS server has shown it at a port of its own in the last month.",
    )


@app.command()
def status(data: Directory = None, json: Json = False) -> None:
    """Say for each switch and router when its tables were read, what came of it, and when it is read next."""
    from forestall.clock import utc_now
    from forestall.server.reading import standing_of
    from forestall.server.wiring import opened

    with opened(data) as installation:
        found = standing_of(installation, utc_now())
    if json:
        print_json(found)
        return
    print_table(
        ["source", "site", "last read (UTC)", "forwarding", "neighbours", "seconds", "next (UTC)", "trouble"],
        (
            [
                s.name, s.site, s.good_at or "never", s.forwarding, s.neighbours, round(s.seconds, 1),
                s.next_at or "now", s.trouble,
            ]
            for s in found.sources
        ),
        empty="No tables are read: docs/network.md says how to name switches and routers.",
    )  # fmt: skip
    print_table(
        ["seen by", "ways", "newest (UTC)"],
        ([each.source, each.ways, each.newest_at] for each in found.seen_by),
        empty="Nobody was seen yet.",
    )


@app.command()
def estimate(data: Directory = None, json: Json = False) -> None:
    """Estimate how many machines nobody sees, from every two sources that do not know of each other."""
    from forestall.server.finding import estimate as estimated
    from forestall.server.wiring import opened

    with opened(data) as installation:
        found = estimated(installation.database)
    if json:
        print_json(found)
        return
    print_table(
        ["sources", "by each", "by both", "seen", "machines, estimated", "95 % interval"],
        (
            [
                f"{e.first}, {e.second}",
                f"{e.by_first}, {e.by_second}",
                e.by_both,
                e.seen,
                round(e.machines),
                f"{e.low:.0f} to {e.high:.0f}",
            ]
            for e in found
        ),
        empty="Two independent sources are needed, leases and logins for example: forestall find import",
    )


@app.command()
def sweep(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port to knock on.")] = 22,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Knock on one port of every address in the scope; whoever answers, a refusal too, is seen."""
    from forestall.clock import utc_now
    from forestall.probes.sweep import allow_many_files
    from forestall.server.sweeping import sweep_scope
    from forestall.server.wiring import opened

    with opened(data) as installation:
        if not installation.settings.scope.areas:
            raise InputError(
                "No scope is set, so nothing may be probed. Name networks in forestall.toml: [[scope]]"
            )
        allow_many_files()
        done = sweep_scope(
            installation.database,
            installation.settings.scope,
            (port,),
            by or "sweep",
            utc_now(),
            installation.settings.accounts(),
        )
    if json:
        print_json(done)
        return
    counted = ", ".join(f"{count} {presence}" for presence, count in sorted(done.counts.items()))
    print_line(
        f"{sum(done.counts.values())} addresses in {done.seconds:.1f} s: {counted or 'none in the scope'}"
    )
    print_line(f"{done.machines} machines were seen lately, {done.new} of them are new")


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{file}: larger than {MOST_BYTES // 1_000_000} MB; split it")
    return content
