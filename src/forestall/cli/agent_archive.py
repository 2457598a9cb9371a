"""`forestall agent-archive`: the agent of this installation as one file, ready to be approved and rolled out."""

from pathlib import Path
from typing import Annotated

import typer

from forestall.cli.output import Json, print_json, print_line


def agent_archive(
    folder: Annotated[Path, typer.Argument(help="Where the archive and its recipe file go.")],
    json: Json = False,
) -> None:
    """Make the agent that is installed here into one archive with its recipe, and start it once to see that it does."""
    from forestall.agent.packing import make
    from forestall.clock import utc_now

    made = make(folder, utc_now())
    if json:
        print_json({"archive": str(made.archive), "recipe": str(made.recipe), "version": made.version})
        return
    print_line(f"Agent {made.version}: {made.archive}, {made.archive.stat().st_size >> 10} KiB")
    print_line(f"Next: forestall advisory pull {made.recipe}, then have it approved (docs/operate.md).")
