"""How this machine becomes managed: a token is traded for a certificate, from the server that the token is of."""

import importlib.metadata
from pathlib import Path
from typing import NamedTuple, TypeVar

from forestall import protocol
from forestall.agent import client, identity, state, trust
from forestall.agent.client import Line, NoAnswer
from forestall.agent.identity import Identity
from forestall.domain.errors import AgentError, InputError
from forestall.trust.device_key import new_key, request_for

_T = TypeVar("_T")


class Invitation(NamedTuple):
    """What somebody gave this machine."""

    server: str
    token: str
    """A secret, a dot, and the fingerprint of the server's authority."""
    root: str = ""
    """Fingerprint of the root to trust; empty where none was told."""
    mirror: str = ""


def join(directory: Path, given: Invitation, name: str) -> tuple[Identity, str]:
    """Put this machine under the server's management; returns who it is now, and its root's fingerprint.

    The key is made here and stays here. The secret is told to nobody but the server that the token is of.

    Raises:
        AgentError: it is enrolled already, or the server cannot be asked, is another one, or refuses.
        InputError: an address is none.
    """
    identity.prepare(directory)
    if identity.exists(directory):
        raise AgentError(
            f"this machine is enrolled already; to do it anew, remove {directory / 'identity.json'} first"
        )
    place = client.server_at(given.server)
    if place.scheme != "https":
        raise InputError(f"agents speak TLS only: --server https://{place.host}:{place.port}")
    secret, _, fingerprint = given.token.partition(".")
    authority = _answered(client.authority_of(place, fingerprint))
    key = new_key()
    request = protocol.EnrolRequest(secret, name, importlib.metadata.version("forestall"), request_for(key))
    answer = _answered(client.enrol(Line(place, client.pinned(authority)), request))
    trusted = trust.keep_root(directory, answer.root, given.root)
    if given.mirror:
        trust.keep_mirror(directory, given.mirror)
    made = identity.keep(directory, given.server, authority, key, answer.certificate)
    known, _ = state.load(directory)  # what it did under an earlier name stays true
    known.certificate, known.sequence = made.serial, 0
    state.save(directory, known)
    return made, trusted


def _answered(answer: _T | NoAnswer) -> _T:
    if isinstance(answer, NoAnswer):
        raise AgentError(f"not enrolled: {answer.reason}")
    return answer
