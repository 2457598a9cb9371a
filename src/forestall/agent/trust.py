"""What this machine trusts: the root it was enrolled with, kept beside its identity; and where signed files are."""

from pathlib import Path

from forestall import protocol
from forestall.agent import client
from forestall.agent.client import Server, server_at, tls_context
from forestall.domain.errors import AgentError
from forestall.durable import write_whole
from forestall.trust.metadata import fingerprint, read_root
from forestall.trust.verifier import Source, Trust

_ROOT = "trust-root.json"
_MIRROR = "mirror"
_CACHE = "trust"


def keep_root(directory: Path, root: str, wanted: str) -> str:
    """Keep the root that enrolment gave; returns its fingerprint.

    Raises:
        AgentError: it is none, or not the one whose fingerprint was given.
    """
    content = root.encode()
    if not root:
        raise AgentError("the server has no keys yet: hold a ceremony there first (forestall keys ceremony)")
    found = fingerprint(content)
    if wanted and found != wanted.strip().lower():
        raise AgentError(
            f"the server's root is {found}, not {wanted[:64]}: somebody stands between, or the keys were made "
            "anew; ask whoever holds the keys"
        )
    read_root(content)
    write_whole(directory / _ROOT, content, 0o644)
    return found


def keep_mirror(directory: Path, url: str) -> None:
    """Keep the address of a mirror that is asked before the server."""
    server_at(url)
    write_whole(directory / _MIRROR, url.encode(), 0o644)


def load(directory: Path, server: Server, authority: str) -> Trust:
    """Put together what this machine trusts and where it looks: a mirror, then the server, known by its authority.

    Raises:
        AgentError: it was enrolled without a root.
    """
    try:
        root = (directory / _ROOT).read_bytes()
    except OSError as error:
        raise AgentError(
            f"cannot read {directory / _ROOT}: {error.strerror}: without it no order is obeyed; enrol again"
        ) from None
    mirror = directory / _MIRROR
    mirrors = [Source(mirror.read_text().strip().rstrip("/"))] if mirror.exists() else []
    origin = Source(f"{server.scheme}://{_host(server)}{server.prefix}{protocol.TRUST}")
    context = tls_context()
    client.trust(context, authority)
    return Trust(directory / _CACHE, root, (*mirrors, origin), context)


def _host(server: Server) -> str:
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{host}:{server.port}"
