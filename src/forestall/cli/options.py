"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[
    Path | None,
    typer.Option(
        "--data", help="The server's directory; else $FORESTALL_DATA, ./.forestall, or your data directory."
    ),
]
By = Annotated[
    str, typer.Option("--by", envvar=["FORESTALL_USER", "USER", "LOGNAME"], help="Who does it: recorded.")
]
