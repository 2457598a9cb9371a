"""How the server asks the signer: one request and one answer over a Unix socket, bounded in bytes and time."""

import contextlib
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from forestall.domain.errors import ForestallError, SignerError
from forestall.trust.documents import OrderDocument
from forestall.trust.roles import Role
from forestall.trust.signer import Published, Signer

SOCKET = "signer.sock"
_MOST_BYTES = 32 * 1024 * 1024
_SECONDS = 30.0
_POLL_SECONDS = 0.2


class Publish(msgspec.Struct, frozen=True, tag="publish", forbid_unknown_fields=True):
    """Sign these orders and no others."""

    orders: tuple[OrderDocument, ...]


class Adopt(msgspec.Struct, frozen=True, tag="adopt", forbid_unknown_fields=True):
    """Take what people signed."""

    metadata: dict[Role, bytes]
    files: dict[str, bytes]


class Done(msgspec.Struct, frozen=True, tag="done", forbid_unknown_fields=True):
    """It was done."""

    published: Published


class Trouble(msgspec.Struct, frozen=True, tag="trouble", forbid_unknown_fields=True):
    """It was not done."""

    why: str


def ask(path: Path, request: Publish | Adopt) -> Published:
    """Ask the signer.

    Raises:
        SignerError: it does not run, does not answer, or refuses; the message says why.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request))
            connection.shutdown(socket.SHUT_WR)
            answer = msgspec.json.decode(_read(connection), type=Done | Trouble)
    except (OSError, msgspec.MsgspecError) as error:
        raise SignerError(
            f"The signer does not answer at {path}: {error}. Start it: forestall signer"
        ) from None
    if isinstance(answer, Trouble):
        raise SignerError(f"The signer refuses: {answer.why}")
    return answer.published


def serve(path: Path, signer: Signer, clock: Callable[[], datetime], stop: threading.Event) -> None:
    """Answer requests, one at a time, until `stop` is set; a request that fails never ends the loop."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(8)
        listener.settimeout(_POLL_SECONDS)
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_SECONDS)
                connection.sendall(msgspec.json.encode(_answer(connection, signer, clock())))
    path.unlink(missing_ok=True)


def _answer(connection: socket.socket, signer: Signer, now: datetime) -> Done | Trouble:
    try:
        request = msgspec.json.decode(_read(connection), type=Publish | Adopt)
        if isinstance(request, Publish):
            return Done(signer.publish(request.orders, now))
        return Done(signer.adopt(request.metadata, request.files, now))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Trouble(f"not a request: {str(error)[:300]}")
    except (ForestallError, OSError) as error:
        return Trouble(str(error))
    except Exception as error:  # noqa: BLE001 - the signer must not stop for a fault in one request
        return Trouble(f"a fault of the signer's own: {type(error).__name__}: {error}")


def _read(connection: socket.socket) -> bytes:
    content = bytearray()
    while chunk := connection.recv(65_536):
        content += chunk
        if len(content) > _MOST_BYTES:
            raise OSError(f"more than {_MOST_BYTES} bytes")
    return bytes(content)
