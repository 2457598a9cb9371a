"""Who this machine is to the server; the one place that turns it into a credential."""

import os
from pathlib import Path

import msgspec

from forestall.domain.errors import AgentError
from forestall.durable import write_whole


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What enrolment gave; kept in a file that only root reads."""

    server: str
    device: str
    secret: str


_FILE = "identity.json"


def load(directory: Path) -> Identity:
    """Read the identity.

    Raises:
        AgentError: there is none, or its file cannot be used.
    """
    path = directory / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        raise AgentError(
            f"this machine is not enrolled yet (no {path}): forestall-agent enrol --server URL --token TOKEN"
        ) from None
    except OSError as error:
        raise AgentError(f"cannot read {path}: {error.strerror} (run it as root)") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise AgentError(f"{path} is damaged: remove it and enrol again with a new token") from None


def exists(directory: Path) -> bool:
    """Tell whether this machine was enrolled."""
    return (directory / _FILE).exists()


def save(directory: Path, identity: Identity) -> None:
    """Keep the identity, readable by its owner only."""
    write_whole(directory / _FILE, msgspec.json.encode(identity), 0o600)


def prepare(directory: Path) -> None:
    """Make the agent's directory.

    Raises:
        AgentError: it cannot be made, or others may write to it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        found = directory.stat()
    except OSError as error:
        raise AgentError(
            f"cannot use {directory}: {error.strerror} (run it as root, or name --state)"
        ) from None
    if found.st_uid not in {0, os.geteuid()} or found.st_mode & 0o022:
        raise AgentError(
            f"{directory} can be changed by others: make it yours alone (chmod go-w) or name --state"
        )


def authorization(identity: Identity) -> str:
    """Make the credential that goes with every request after enrolment."""
    return f"Bearer {identity.device}:{identity.secret}"
