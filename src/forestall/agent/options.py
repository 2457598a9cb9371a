"""Options that the agent's commands share."""

from pathlib import Path
from typing import Annotated

import typer

Root = Annotated[
    Path, typer.Option("--root", help="Debian root directory to serve.", envvar="FORESTALL_ROOT")
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state", help="The agent's directory [ROOT/var/lib/forestall-agent].", envvar="FORESTALL_STATE"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]


def directory_of(root: Path, state: Path | None) -> Path:
    """Find the agent's directory."""
    return (state or root / "var/lib/forestall-agent").absolute()
