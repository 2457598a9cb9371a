"""`forestall-agent tuf`: TUF's client workflow alone, with the options of the public conformance suite."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from forestall.agent.client import tls_context
from forestall.agent.debian import printable
from forestall.agent.options import Json
from forestall.clock import utc_now
from forestall.domain.errors import InputError
from forestall.trust import tuf_client
from forestall.trust.verifier import Refusal

app = typer.Typer(no_args_is_help=True, help="Verify any TUF repository, as the agent verifies its orders.")


@dataclass(frozen=True, slots=True)
class _Options:
    metadata_dir: Path
    metadata_url: str
    target_name: str
    target_dir: Path | None
    target_base_url: str


@app.callback()
def options(
    context: typer.Context,
    metadata_dir: Annotated[Path, typer.Option(help="Folder of trusted metadata.")],
    metadata_url: Annotated[str, typer.Option(help="Address of the repository's metadata.")] = "",
    target_name: Annotated[str, typer.Option(help="Path of the target, as the metadata name it.")] = "",
    target_dir: Annotated[Path | None, typer.Option(help="Folder for verified targets.")] = None,
    target_base_url: Annotated[str, typer.Option(help="Address of the repository's targets.")] = "",
) -> None:
    """Verify any TUF repository, as the agent verifies its orders."""
    context.obj = _Options(metadata_dir, metadata_url, target_name, target_dir, target_base_url)


@app.command()
def init(
    context: typer.Context,
    trusted_root: Annotated[Path, typer.Argument(help="File of the root to trust.")],
    as_json: Json = False,
) -> None:
    """Trust a root; asks no server."""
    _end(tuf_client.init(context.obj.metadata_dir, trusted_root), as_json=as_json)


@app.command()
def refresh(context: typer.Context, as_json: Json = False) -> None:
    """Bring the trusted metadata up to date."""
    given: _Options = context.obj
    found = tuf_client.refresh(given.metadata_dir, given.metadata_url, tls_context(), utc_now())
    _end(found, as_json=as_json)


@app.command()
def download(context: typer.Context, as_json: Json = False) -> None:
    """Fetch a target; what is there already and right is not fetched again."""
    given: _Options = context.obj
    if given.target_dir is None or not given.target_name:
        raise InputError("Say what to fetch and where to: --target-name, --target-base-url, --target-dir")
    found = tuf_client.download(
        given.metadata_dir,
        given.metadata_url,
        given.target_name,
        given.target_base_url,
        given.target_dir,
        tls_context(),
        utc_now(),
    )
    _end(found if isinstance(found, Refusal) else None, as_json=as_json)


def _end(refusal: Refusal | None, *, as_json: bool) -> None:
    """End with 1 and a sentence where something was refused."""
    if as_json:
        reason, detail = (refusal.reason, printable(refusal.detail, 500)) if refusal else ("", "")
        typer.echo(msgspec.json.encode({"ok": refusal is None, "refused": reason, "detail": detail}))
    if refusal is not None:
        typer.echo(f"refused: {printable(str(refusal), 500)}", err=True)
        raise typer.Exit(1)
