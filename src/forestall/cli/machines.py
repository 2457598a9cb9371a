"""`forestall exempt`, `exemptions`, `protect`, `unprotect`: what people decide about one machine (A1, A8)."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from forestall.cli.ask import say_asked
from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.duration import parse_duration
from forestall.domain.errors import InputError

Machine = Annotated[str, typer.Argument(help="The machine's id or name.")]
Period = Annotated[str, typer.Option("--for", help="How long: 7d, 12h; 30 days at most.")]
Until = Annotated[str, typer.Option(help="Or until when: 2026-12-31, or 2026-12-31T18:00 (UTC).")]
Why = Annotated[str, typer.Option(help="Why, in a sentence: recorded and shown.")]


def exempt(  # noqa: PLR0917, PLR0913 - a command's options
    machine: Machine,
    campaign: Annotated[str, typer.Argument(help="The campaign's id.")],
    reason: Why,
    control: Annotated[str, typer.Option(help="What protects the machine instead.")] = "",
    period: Period = "",
    until: Until = "",
    end: Annotated[
        bool, typer.Option("--end", help="End its exemption now; needs no second person.")
    ] = False,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Ask to leave a machine alone in one campaign for a while; somebody else approves it (A1)."""
    from forestall.clock import utc_now
    from forestall.server.machines import Terms, ask_exemption, end_exemption
    from forestall.server.wiring import opened

    now = utc_now()
    with opened(data) as installation:
        if end:
            ended = end_exemption(installation, machine, campaign, reason, by, now)
        else:
            terms = Terms(read_period(period, until, now), reason, control)
            asked = ask_exemption(installation, machine, campaign, terms, by, now)
        alone = not installation.policy.second_person
    if not end:
        say_asked(asked, alone=alone, json=json)
    elif json:
        print_json({"machine": ended.id, "campaign": campaign, "until": now})
    else:
        print_line(f"{ended.name} is no longer exempt from {campaign}.")


def exemptions(
    campaign: Annotated[str, typer.Option(help="Only of this campaign.")] = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """List the exemptions in force; those that end first come first."""
    from forestall.clock import utc_now
    from forestall.server.machines import exemptions as listed
    from forestall.server.wiring import opened

    with opened(data) as installation:
        rows = listed(installation, utc_now(), campaign)
    if json:
        print_json([row._asdict() for row in rows])
        return
    print_table(
        ["machine", "name", "campaign", "until (UTC)", "why", "protected by", "asked by", "approved by"],
        ([r.device, r.name, r.campaign, r.until, r.reason, r.control, r.by, r.approved_by] for r in rows),
        empty="No machine is exempt now.",
    )


def protect(machine: Machine, reason: Why, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Never take this machine off the network (A8); one person suffices."""
    from forestall.clock import utc_now
    from forestall.server.machines import protect as protected
    from forestall.server.wiring import opened

    with opened(data) as installation:
        device = protected(installation, machine, reason, by, utc_now())
    if json:
        print_json({"machine": device.id, "protected": True})
    else:
        print_line(f"{device.name} is never removed. Undone by two people: forestall unprotect {device.id}")


def unprotect(machine: Machine, reason: Why, by: By = "", data: Directory = None, json: Json = False) -> None:
    """Ask to take a machine off the protected list; somebody else approves it (A9)."""
    from forestall.clock import utc_now
    from forestall.server.machines import ask_unprotect
    from forestall.server.wiring import opened

    with opened(data) as installation:
        asked = ask_unprotect(installation, machine, reason, by, utc_now())
        alone = not installation.policy.second_person
    say_asked(asked, alone=alone, json=json)


def read_period(period: str, until: str, now: datetime) -> timedelta:
    """Read how long something lasts from the one option that is given.

    Raises:
        InputError: none or both are given, or one is none.
    """
    if bool(period) is bool(until):
        raise InputError("Say how long: --for 7d, or --until 2026-12-31 (one of the two)")
    if period:
        return parse_duration(period)
    try:
        end = datetime.fromisoformat(until)
    except ValueError:
        raise InputError(f"“{until[:40]}” is no date; write 2026-12-31 or 2026-12-31T18:00 (UTC)") from None
    return (end if end.tzinfo else end.replace(tzinfo=UTC)) - now
