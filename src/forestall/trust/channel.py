"""How the server asks the signer: one request and one answer over a Unix socket, bounded in bytes and time."""

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated

import msgspec

from forestall.domain.errors import ForestallError, SignerError
from forestall.protocol import Sha256
from forestall.trust.documents import OrderDocument
from forestall.trust.roles import Role
from forestall.trust.signer import Published, Signer

SOCKET = "signer.sock"
_MOST_BYTES = 32 * 1024 * 1024
_SECONDS = 30.0
_POLL_SECONDS = 0.2
_COPY_SECONDS = 3_600.0
"""For a request that brings payloads: they are copied and hashed first."""
MOST_PAYLOADS = 128
"""Open files that come with one request; the system lets through twice as many."""


class Publish(msgspec.Struct, frozen=True, tag="publish", forbid_unknown_fields=True):
    """Sign these orders and no others."""

    orders: tuple[OrderDocument, ...]


class Adopt(msgspec.Struct, frozen=True, tag="adopt", forbid_unknown_fields=True):
    """Take what people signed."""

    metadata: dict[Role, bytes]
    files: dict[str, bytes]
    payloads: Annotated[tuple[Sha256, ...], msgspec.Meta(max_length=MOST_PAYLOADS)] = ()
    """What the open files are that come along with the request, in their order."""


class Done(msgspec.Struct, frozen=True, tag="done", forbid_unknown_fields=True):
    """It was done."""

    published: Published


class Trouble(msgspec.Struct, frozen=True, tag="trouble", forbid_unknown_fields=True):
    """It was not done."""

    why: str


def ask(path: Path, request: Publish | Adopt, payloads: Sequence[IO[bytes]] = ()) -> Published:
    """Ask the signer; `payloads` go along as open files, so that it needs no right to their folder.

    Raises:
        SignerError: it does not run, does not answer, or refuses; the message says why.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_COPY_SECONDS if payloads else _SECONDS)
            connection.connect(str(path))
            content = msgspec.json.encode(request)
            sent = socket.send_fds(connection, [content], [each.fileno() for each in payloads])
            connection.sendall(content[sent:])
            connection.shutdown(socket.SHUT_WR)
            answer = msgspec.json.decode(_read(connection, []), type=Done | Trouble)
    except (OSError, msgspec.MsgspecError) as error:
        raise SignerError(
            f"The signer does not answer at {path}: {error}. Start it: forestall signer"
        ) from None
    if isinstance(answer, Trouble):
        raise SignerError(f"The signer refuses: {answer.why}")
    return answer.published


def serve(path: Path, signer: Signer, clock: Callable[[], datetime], ended: Callable[[], bool]) -> None:
    """Answer requests, one at a time, until it has `ended`; a request that fails never ends the loop."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(8)
        listener.settimeout(_POLL_SECONDS)
        while not ended():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_SECONDS)
                connection.sendall(msgspec.json.encode(_answer(connection, signer, clock())))


def _answer(connection: socket.socket, signer: Signer, now: datetime) -> Done | Trouble:
    came: list[int] = []
    try:
        request = msgspec.json.decode(_read(connection, came), type=Publish | Adopt)
        if isinstance(request, Publish):
            return Done(signer.publish(request.orders, now))
        with contextlib.ExitStack() as files:
            opened = [files.enter_context(os.fdopen(number, "rb", closefd=False)) for number in came]
            if not all(stat.S_ISREG(os.fstat(number).st_mode) for number in came):
                return Trouble("a payload is no file")
            payloads = dict(zip(request.payloads, opened, strict=False))
            return Done(signer.adopt(request.metadata, request.files, now, payloads))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Trouble(f"not a request: {str(error)[:300]}")
    except (ForestallError, OSError) as error:
        return Trouble(str(error))
    except Exception as error:  # noqa: BLE001 - the signer must not stop for a fault in one request
        return Trouble(f"a fault of the signer's own: {type(error).__name__}: {error}")
    finally:
        for number in came:
            os.close(number)


def _read(connection: socket.socket, came: list[int]) -> bytes:
    """Read what the other side says until it says no more; open files that come along are added to `came`."""
    content = bytearray()
    while True:
        chunk, numbers, _, _ = socket.recv_fds(connection, 65_536, MOST_PAYLOADS)
        came += numbers
        if not chunk:
            break
        content += chunk
        if len(content) > _MOST_BYTES:
            raise OSError(f"more than {_MOST_BYTES} bytes")
    return bytes(content)
