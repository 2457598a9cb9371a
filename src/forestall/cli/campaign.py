"""`forestall campaign`: the life of a campaign."""

from dataclasses import asdict
from typing import Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table

app = typer.Typer(help="The life of a campaign.", no_args_is_help=True)
Voluntary = Annotated[
    str, typer.Option(help="Voluntary period, 0 to 14 days: 14d, 8d, 20s. Else the policy's.")
]
Name = Annotated[str, typer.Argument(help="The campaign's id, as `forestall campaign ls` shows it.")]


@app.command()
def start(
    update: Annotated[str, typer.Argument(help="The rated update, as `forestall advisory ls` names it.")],
    voluntary: Voluntary = "",
    testing: Annotated[
        bool, typer.Option("--testing", help="Hand over for testing; distribute later.")
    ] = False,
    rings: Annotated[
        bool,
        typer.Option("--rings", help="Let the rings test it, and distribute it when they have passed it."),
    ] = False,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Drive a rated update to every affected machine by a deadline."""
    from forestall.clock import utc_now
    from forestall.domain.duration import parse_duration
    from forestall.server.operators import start_campaign
    from forestall.server.trust_place import trust_place
    from forestall.server.wiring import opened
    from forestall.trust.papers import papers_in

    with opened(data) as installation:
        period = parse_duration(voluntary) if voluntary else None
        made = start_campaign(installation, update, period, by, utc_now(), testing=testing, rings=rings)
        repository = trust_place(installation.settings.directory).repository
    if json:
        print_json({"campaign": made.id, "phase": made.phase, "deadline_at": made.deadline_at})
        return
    if made.ring is not None:
        print_line(
            f"{made.id} is tested by the ring {made.ring}. How it stands: forestall rings test {made.id}"
        )
    elif made.deadline_at is None:
        print_line(f"{made.id} is handed over for testing. Next: forestall campaign distribute {made.id}")
    else:
        print_line(f"{made.id} runs; voluntary until {made.deadline_at:%Y-%m-%d %H:%M} UTC, then by force.")
    papers = papers_in(repository, utc_now()) if repository.exists else None
    if papers is None or made.remediation not in papers.approvals:
        print_line(
            f"No machine obeys it before the update is approved: forestall keys approve {made.remediation}"
        )


@app.command()
def pack(
    updates: Annotated[list[str], typer.Argument(help="The rated updates that the service pack brings.")],
    voluntary: Annotated[str, typer.Option(help="Voluntary period, 0 to 21 days. Else the policy's.")] = "",
    testing: Annotated[
        bool, typer.Option("--testing", help="Hand over for testing; distribute later.")
    ] = False,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Drive a service pack: its distribution closes the campaigns of the earlier updates it contains (P7.2)."""
    from forestall.clock import utc_now
    from forestall.domain.duration import parse_duration
    from forestall.server.operators import start_pack
    from forestall.server.wiring import opened

    with opened(data) as installation:
        period = parse_duration(voluntary) if voluntary else None
        made = start_pack(installation, updates, period, by, utc_now(), testing=testing)
    if json:
        print_json([{"campaign": c.id, "phase": c.phase, "deadline_at": c.deadline_at} for c in made])
        return
    for campaign in made:
        print_line(f"{campaign.id}: {campaign.remediation}, {campaign.phase}")


@app.command()
def preview(name: Name, data: Directory = None, json: Json = False) -> None:
    """Show what the next pass would order and hold, by rule, before anything is (A8); changes nothing."""
    from forestall.clock import utc_now
    from forestall.server.preview import preview as look_ahead
    from forestall.server.wiring import opened

    with opened(data) as installation:
        found = look_ahead(installation, name, utc_now())
    if json:
        print_json(found)
        return
    print_line(f"{found.campaign}: {found.phase}")
    for note, why in (("only observes and releases", found.observing), ("would halt", found.halts)):
        if why:
            print_line(f"{note}: {why}")
    print_table(
        ["action", "rule", "paragraph", "held by", "machines", "sites", "set"],
        (
            [e.action, e.rule, e.paragraph, e.brake, e.count, len(e.sites), e.machines[:16]]
            for e in found.lines
        ),
        empty="The next pass would order nothing.",
    )


@app.command()
def distribute(name: Name, by: By = "", data: Directory = None, json: Json = False) -> None:
    """End the test: offer the update to everybody; the voluntary period begins."""
    _step(name, "distribute", by, data, json=json)


@app.command()
def close(name: Name, by: By = "", data: Directory = None, json: Json = False) -> None:
    """End a campaign: nothing more is asked, and what it removed is let back."""
    _step(name, "close", by, data, json=json)


@app.command()
def withdraw(name: Name, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Withdraw a patch that does harm: orders are taken back, what was removed is let back (A7)."""
    _step(name, "withdraw", by, data, json=json)
    if not json:
        print_line(f"Who has installed it keeps it. To undo it there: forestall campaign undo {name}")


@app.command()
def undo(
    name: Annotated[str, typer.Argument(help="The withdrawn campaign.")],
    voluntary: Voluntary = "",
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Undo a withdrawn patch on the machines that have it: a campaign like any other, by agents alone (A7)."""
    from forestall.clock import utc_now
    from forestall.domain.duration import parse_duration
    from forestall.server.undo import undo_campaign
    from forestall.server.wiring import opened

    with opened(data) as installation:
        period = parse_duration(voluntary) if voluntary else None
        made = undo_campaign(installation, name, period, by, utc_now())
    if json:
        print_json({"campaign": made.id, "phase": made.phase, "deadline_at": made.deadline_at})
    else:
        print_line(f"{made.id} undoes it; voluntary until {made.deadline_at:%Y-%m-%d %H:%M} UTC.")


@app.command()
def halt(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why: recorded and shown.")],
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Stop a campaign at once: nothing new starts until somebody resumes it (A7)."""
    from forestall.clock import utc_now
    from forestall.server.operators import halt_campaign
    from forestall.server.wiring import opened

    with opened(data) as installation:
        halted = halt_campaign(installation.database, name, reason, by, utc_now())
    if json:
        print_json({"campaign": halted.id, "halted_at": halted.halted_at, "because": halted.halted_because})
    else:
        print_line(f"{halted.id} is halted. Next: forestall campaign resume {halted.id}, or withdraw it.")


@app.command()
def resume(name: Name, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Let a halted campaign go on."""
    from forestall.clock import utc_now
    from forestall.server.operators import resume_campaign
    from forestall.server.wiring import opened

    with opened(data) as installation:
        resumed = resume_campaign(installation.database, name, by, utc_now())
    if json:
        print_json({"campaign": resumed.id, "phase": resumed.phase})
    else:
        print_line(f"{resumed.id} goes on.")


@app.command(name="ls")
def list_campaigns(data: Directory = None, json: Json = False) -> None:
    """List campaigns, newest first, with how they stand."""
    from forestall.clock import utc_now
    from forestall.server.overview import campaign_rows
    from forestall.server.wiring import opened

    with opened(data) as installation:
        rows = campaign_rows(installation.database, utc_now(), installation.policy)
    if json:
        print_json(rows)
        return
    print_table(
        [
            "campaign",
            "update",
            "phase",
            "deadline (UTC)",
            "fixed",
            "restart",
            "affected",
            "unknown",
            "exempt",
        ],
        (
            [
                r.id,
                r.remediation,
                r.phase,
                r.deadline_at,
                s.fixed,
                s.pending_restart,
                s.affected,
                s.unknown,
                s.exempt,
            ]
            for r in rows
            for s in [r.standing]
        ),
        empty="No campaign yet. Rate an update first: forestall advisory ls, forestall rate",
    )


@app.command()
def show(name: Name, data: Directory = None, json: Json = False) -> None:
    """Show how a campaign stands: five numbers that never hide each other (A3), and how its test stands (P4)."""
    from forestall.cli.rings import tell_test
    from forestall.clock import utc_now
    from forestall.server.overview import campaign_row
    from forestall.server.wiring import opened

    with opened(data) as installation:
        row = campaign_row(installation.database, name, utc_now(), installation.policy)
    surely, possibly = row.standing.compliance
    if json:
        numbers = asdict(row.standing) | {
            "compliance": [surely, possibly],
            "concerned": row.standing.concerned,
        }
        print_json({"campaign": row.id, "update": row.remediation, "phase": row.phase, "halted": row.halted_because}
                   | {"deadline_at": row.deadline_at, "held": row.held, "test": row.test} | numbers)  # fmt: skip
        return
    print_line(f"{row.id}: {row.remediation}, {row.phase}, deadline {row.deadline_at or 'not set'}")
    if row.halted_because:
        print_line(f"halted: {row.halted_because}")
    print_line(f"compliance {surely:.1%} to {possibly:.1%} of {row.standing.concerned} machine(s)")
    for key, value in asdict(row.standing).items():
        print_line(f"  {key.replace('_', ' ')}: {value}")
    if row.held:
        print_line(f"  held by a brake: {row.held}")
    if row.test is not None:
        tell_test(row.test)


def _step(name: str, step: str, by: str, data: Directory, *, json: bool) -> None:
    from forestall.clock import utc_now
    from forestall.domain.campaign import Step
    from forestall.server.operators import move_campaign
    from forestall.server.wiring import opened

    with opened(data) as installation:
        moved = move_campaign(installation.database, name, Step(step), by, utc_now())
    if json:
        print_json({"campaign": moved.id, "phase": moved.phase, "deadline_at": moved.deadline_at})
    else:
        print_line(f"{moved.id}: {moved.phase}")
