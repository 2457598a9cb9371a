"""`forestall rate`: a person in Security rates an update (P2.1)."""

from typing import Annotated

import typer

from forestall.cli.options import By, Directory
from forestall.cli.output import Json, print_json, print_line
from forestall.domain.level import Level


def rate(  # noqa: PLR0917, PLR0913 - a command's options
    update: Annotated[str, typer.Argument(help="The update, as `forestall advisory ls` names it.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence: recorded.")],
    escalation: Annotated[
        bool, typer.Option("--escalation", help="An attacker can give himself rights.")
    ] = False,
    expansion: Annotated[bool, typer.Option("--expansion", help="It spreads to other computers.")] = False,
    exposure: Annotated[bool, typer.Option("--exposure", help="Confidential data leak.")] = False,
    level: Annotated[
        Level | None, typer.Option(help="Else critical with one of the E's, warning without.")
    ] = None,
    by: By = "",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Rate an update by the three E's; a rating can be revised, the record keeps both."""
    from forestall.clock import utc_now
    from forestall.server.operators import rate_update
    from forestall.server.wiring import opened
    from forestall.store.ratings import ThreeEs

    with opened(data) as installation:
        es = ThreeEs(escalation=escalation, expansion=expansion, exposure=exposure)
        rating = rate_update(installation.database, update, es, level, reason, by, utc_now())
    if json:
        print_json(rating)
        return
    print_line(f"{rating.remediation} is rated {rating.level} by {rating.by} (proposed: {rating.proposed}).")
    if rating.level is Level.CRITICAL:
        print_line(f"Next: forestall campaign start {rating.remediation}")
