"""`forestall demo`: turn the clock of the made-up company."""

import sys
from datetime import timedelta
from typing import Annotated

import typer

from forestall.cli.options import Directory
from forestall.cli.output import Json, print_json, print_line


def demo(
    turn: Annotated[
        str, typer.Argument(help="How far: +1d, +8h, +15m; nothing only says where it stands.")
    ] = "",
    machines: Annotated[int, typer.Option(min=10, max=100_000, help="Machines of a new company.")] = 20_000,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Turn the made-up company's clock: deadlines pass, warnings go out, ports close, machines come back."""
    from forestall.domain.duration import parse_duration
    from forestall.server.overview import campaign_row
    from forestall.server.settings import load_settings
    from forestall.server.wiring import opened
    from forestall.simulate.demo import BLASTER, FIRST_LOOK, open_demo

    with opened(load_settings(data).directory / "demo") as installation:
        company = open_demo(installation, machines)
        period = parse_duration(turn.lstrip("+")) if turn else max(FIRST_LOOK - company.now, timedelta())
        begins = company.now
        with typer.progressbar(length=1000, label=f"{company.now:%a %d %b %H:%M}", file=sys.stderr) as bar:
            for now in company.advance(period):
                bar.label = f"{now:%a %d %b %H:%M}"
                bar.update(int(1000 * ((now - begins) / period)) - bar.pos)
        row = campaign_row(installation.database, BLASTER, company.now, installation.policy)
    if json:
        print_json(
            {"now": company.now, "deadline_at": row.deadline_at, "standing": row.standing, "held": row.held}
        )
        return
    surely, possibly = row.standing.compliance
    print_line(f"It is {company.now:%A %Y-%m-%d %H:%M} UTC; deadline {row.deadline_at:%Y-%m-%d %H:%M}.")
    print_line(f"Fixed {surely:.1%} to {possibly:.1%} of {row.standing.concerned} machines:")
    print_line(
        f"  {row.standing.voluntary} by themselves, {row.standing.forced} by force, "
        f"{row.standing.after_removal} after removal; {row.standing.quarantined} off the network now, "
        f"{row.held} held by a brake"
    )
    print_line(f"Mails: {installation.settings.directory / 'mail.mbox'}")
