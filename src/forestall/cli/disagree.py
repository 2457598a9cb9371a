"""`forestall disagree`: machines of which agent and probe say the opposite, and what a person does about them (A18)."""

from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.ask import say_asked
from forestall.cli.machines import Machine, Period, Until, Why, read_period
from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.evidence import Side

if TYPE_CHECKING:
    from forestall.server.disagreements import Disagreement

app = typer.Typer(
    help="Machines of which agent and probe say the opposite (A18).", invoke_without_command=True
)
Campaign = Annotated[str, typer.Argument(help="The campaign's id.")]


@app.callback()
def disagree(
    context: typer.Context,
    campaign: Annotated[str, typer.Option("--campaign", help="Only of this campaign.")] = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """List who disagrees, those open longest first: what each side says, since when, and with what proof."""
    from forestall.clock import utc_now
    from forestall.server.disagreements import disagreements
    from forestall.server.wiring import opened

    if context.invoked_subcommand is not None:
        return
    with opened(data) as installation:
        rows = disagreements(installation.database, utc_now(), installation.policy, campaign)
    if json:
        print_json(rows)
        return
    print_table(
        ["machine", "name", "campaign", "since (UTC)", "who", "says", "last (UTC)", "worth", "proof", "state"],
        ([r.device, r.name, r.campaign, r.since, w.witness, w.status, w.at, w.quality, w.proof, _state(r)]
         for r in rows for w in r.words),
        empty="Agents and probes agree on every machine.",
    )  # fmt: skip


@app.command()
def look(
    machine: Machine, campaign: Campaign, by: By = "", data: Directory = None, json: Json = False
) -> None:
    """Have it checked over the network now, before everything that is not in a hurry."""
    from forestall.clock import utc_now
    from forestall.server.disagreements import look_again
    from forestall.server.wiring import opened

    with opened(data) as installation:
        taken = look_again(installation, machine, campaign, by, utc_now())
    if json:
        print_json({"asked": taken})
    else:
        print_line("A check is asked for." if taken else "A check was asked for within the last minute.")


@app.command()
def believe(  # noqa: PLR0917, PLR0913 - a command's options
    machine: Machine,
    campaign: Campaign,
    reason: Why,
    side: Annotated[Side | None, typer.Option(help="Whom: the agent or the probe.")] = None,
    period: Period = "",
    until: Until = "",
    end: Annotated[
        bool, typer.Option("--end", help="Believe neither any more; needs no second person.")
    ] = False,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Ask to believe one side about this machine for a while; somebody else approves it."""
    from forestall.clock import utc_now
    from forestall.domain.errors import InputError
    from forestall.server.disagreements import Terms, ask_belief, end_belief
    from forestall.server.wiring import opened

    now = utc_now()
    with opened(data) as installation:
        if end:
            device = end_belief(installation, machine, campaign, reason, by, now)
            if json:
                print_json({"machine": device.id, "campaign": campaign, "believed": None})
            else:
                print_line(f"Neither side is believed about {device.name} in {campaign}: it is unknown (A2).")
            return
        if side is None:
            raise InputError("Say whom to believe: --side agent, or --side probe")
        terms = Terms(side, read_period(period, until, now), reason)
        asked = ask_belief(installation, machine, campaign, terms, by, now)
        alone = not installation.policy.second_person
    say_asked(asked, alone=alone, json=json)


@app.command(name="help-desk")
def help_desk(
    machine: Machine, campaign: Campaign, reason: Why, by: By = "", data: Directory = None, json: Json = False
) -> None:
    """Open a help-desk case about it."""
    from forestall.clock import utc_now
    from forestall.server.disagreements import open_case
    from forestall.server.wiring import opened

    with opened(data) as installation:
        device = open_case(installation, machine, campaign, reason, by, utc_now())
    if json:
        print_json({"machine": device.id, "campaign": campaign, "help_desk": True})
    else:
        print_line(f"The help desk has a case about {device.name} in {campaign}.")


def _state(row: "Disagreement") -> str:
    facts = [
        f"{row.belief.side} believed until {row.belief.until:%Y-%m-%d %H:%M}" if row.belief else "",
        "being checked" if row.looking else "",
        "a person was told" if row.told else "",
        "help desk" if row.helped else "",
    ]
    return ", ".join(fact for fact in facts if fact)
