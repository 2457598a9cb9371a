"""`forestall ask`, `approvals`, `approve`: what two people decide (A9)."""

from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table

if TYPE_CHECKING:
    from forestall.server.approvals import Waiting

app = typer.Typer(
    help="Ask for what one person alone must not do; a second one approves (A9).", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="The campaign's id, as `forestall campaign ls` shows it.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence: recorded, and shown to the second person.")]


@app.command()
def imminent(name: Name, reason: Reason, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Declare an imminent threat: the announced deadline is void, the new one is now (P8.1)."""
    _ask("imminent", name, reason, by, data, json=json)


@app.command(name="raise-brake")
def raise_brake(name: Name, reason: Reason, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Let the removals go on that a cap holds now, these machines and no others (A8)."""
    _ask("raise_brake", name, reason, by, data, json=json)


@app.command(name="force-early")
def force_early(name: Name, reason: Reason, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Start forcing now, before the announced deadline."""
    _ask("force_early", name, reason, by, data, json=json)


@app.command(name="waive-mail")
def waive_mail(name: Name, reason: Reason, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Let removals go on during an imminent threat although no mail server took the warning (A14)."""
    _ask("waive_mail", name, reason, by, data, json=json)


def approvals(data: Directory = None, json: Json = False) -> None:
    """List what waits for a second person: whom it concerns, why, until when."""
    from forestall.clock import utc_now
    from forestall.server.approvals import waiting
    from forestall.server.wiring import opened

    with opened(data) as installation:
        rows = waiting(installation, utc_now())
    if json:
        print_json(rows)
        return
    print_table(
        ["request", "for", "campaign", "machine", "concerns", "sites", "asked by", "until (UTC)", "why"],
        (
            [r.number, r.matter, r.campaign, r.machine, r.count, _sites(r), r.by, r.expires_at, r.reason]
            for r in rows
        ),
        empty="Nothing waits for a second person.",
    )
    for row in rows:
        print_line(f"request {row.number}: set {row.machines[:16]}")
    if rows:
        print_line("Approve exactly one of these: forestall approve NUMBER")


def approve(
    number: Annotated[int, typer.Argument(help="The request, as `forestall approvals` lists it.")],
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Approve a request as the second person; it is carried out at once, or refused if its machines have changed."""
    from forestall.clock import utc_now
    from forestall.server.approvals import approve as agree
    from forestall.server.wiring import opened

    with opened(data) as installation:
        done = agree(installation, number, by, utc_now())
    if json:
        print_json(done)
        return
    what = done.request
    alone = "; the policy waives the second person" if done.alone else ""
    print_line(
        f"{what.matter} {what.campaign or what.machine}: {what.by} asked, {done.by} approved{alone}. Done."
    )
    if done.replay is not None:
        print_line(f"{done.replay.entries} entries told again, {done.replay.intents} intents brought back.")
        if done.replay.machines:
            print_line(f"{done.replay.machines} machine(s) enrolled since the backup are known again.")


def _ask(matter: str, name: str, reason: str, by: str, data: Directory, *, json: bool) -> None:
    from forestall.clock import utc_now
    from forestall.domain.approval import Matter
    from forestall.server.approvals import ask
    from forestall.server.wiring import opened

    with opened(data) as installation:
        asked = ask(installation, Matter(matter), reason, by, utc_now(), campaign=name)
        alone = not installation.policy.second_person
    say_asked(asked, alone=alone, json=json)


def say_asked(asked: "Waiting", *, alone: bool, json: bool) -> None:
    """Tell who asked what it would touch, and who can approve it."""
    if json:
        print_json(asked)
        return
    print_line(
        f"Request {asked.number}: {asked.matter} {asked.campaign or asked.machine}, concerns {asked.count}"
    )
    if asked.sites:
        print_line(f"  at {_sites(asked)}; set {asked.machines[:16]}")
    who = "You may approve it yourself (policy)" if alone else "Somebody else approves it"
    print_line(f"{who} until {asked.expires_at:%Y-%m-%d %H:%M} UTC: forestall approve {asked.number}")


def _sites(asked: "Waiting", most: int = 5) -> str:
    largest = sorted(asked.sites.items(), key=lambda item: (-item[1], item[0]))
    more = f", and {len(largest) - most} more sites" if len(largest) > most else ""
    return ", ".join(f"{site} {count}" for site, count in largest[:most]) + more
