"""Who this machine is to the server: its own key, which never leaves it, and the certificate it has for it."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from forestall.agent import client
from forestall.agent.client import Line
from forestall.domain.errors import AgentError
from forestall.domain.identity import Certificate
from forestall.durable import write_whole
from forestall.trust.device_key import certificate_for, read_certificate, written


class _Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stays the same from enrolment on."""

    server: str
    authority: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What enrolment gave; kept in files that only root reads."""

    server: str
    authority: str
    """Of the server, in PEM: no other is believed."""
    certificate: Certificate
    file: Path
    """Certificate and key, as OpenSSL reads them."""

    @property
    def device(self) -> str:
        """The name that the server gave."""
        return self.certificate.device

    @property
    def serial(self) -> str:
        """The name of the certificate."""
        return f"{self.certificate.serial:032x}"

    def line(self) -> Line:
        """Make the way to the server, on which both are known.

        Raises:
            AgentError: the certificate is not the key's.
        """
        try:
            return Line(client.server_at(self.server), client.pinned(self.authority, self.file))
        except (OSError, ValueError) as error:
            raise AgentError(f"{self.file} cannot be used ({error}): enrol again with a new token") from None


_FILE = "identity.json"
_KEY = "identity.pem"


def load(directory: Path) -> Identity:
    """Read the identity.

    Raises:
        AgentError: there is none, or its files cannot be used.
    """
    path = directory / _FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Server)
        path = directory / _KEY
        return Identity(found.server, found.authority, read_certificate(path.read_bytes()), path)
    except FileNotFoundError:
        raise AgentError(
            f"this machine is not enrolled yet (no {path}): forestall-agent enrol --server URL --token TOKEN"
        ) from None
    except OSError as error:
        raise AgentError(f"cannot read {path}: {error.strerror} (run it as root)") from None
    except (msgspec.MsgspecError, ValueError):
        raise AgentError(f"{path} is damaged: remove it and enrol again with a new token") from None


def exists(directory: Path) -> bool:
    """Tell whether this machine was enrolled."""
    return (directory / _FILE).exists()


def keep(
    directory: Path, server: str, authority: str, key: EllipticCurvePrivateKey, certificate: str
) -> Identity:
    """Keep what enrolment gave, readable by its owner only.

    Raises:
        AgentError: the certificate is not for this key.
    """
    said = certificate_for(key, certificate)
    if said is None:
        raise AgentError(
            "the server's certificate is not for this machine's key: enrol again with a new token"
        )
    write_whole(directory / _KEY, certificate.encode() + written(key), 0o600)
    write_whole(directory / _FILE, msgspec.json.encode(_Server(server, authority)), 0o600)
    return Identity(server, authority, said, directory / _KEY)


def renew(old: Identity, key: EllipticCurvePrivateKey, certificate: str) -> Identity | None:
    """Put a new key and its certificate into the old one's place; None where it is not this machine's."""
    said = certificate_for(key, certificate)
    if said is None or said.device != old.certificate.device:
        return None
    write_whole(old.file, certificate.encode() + written(key), 0o600)
    return replace(old, certificate=said)


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
