"""Serves an application on an address of this machine, in a thread of its own."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from forestall.domain.device import DeviceId
from forestall.domain.errors import InputError
from forestall.domain.identity import Certificate


class _Introduced(HttpToolsProtocol):
    """Tells the application whose certificate TLS has verified, as `request.state.certificate`; None without one.

    And lets it take over the connection, as `request.state.take_over`. uvicorn does neither. It inherits because
    uvicorn asks for a protocol class.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        shown = transport.get_extra_info("peercert")
        self.app_state = self.app_state | {
            "certificate": _certificate(shown) if shown else None,
            "take_over": self.take_over,
        }
        if shown:
            shown.clear()  # read; a kilobyte for as long as a machine sleeps on its stream

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.app_state = {}  # or it would keep itself

    def take_over(self, other: asyncio.Protocol) -> asyncio.Transport:
        """Give the connection to another protocol, as uvicorn itself does for WebSockets."""
        transport = self.transport
        transport.set_protocol(other)
        self.connections.discard(self)
        self.cycle.disconnected = True  # for uvicorn the request is over, and answered by others
        self.app_state = {}
        self.parser = None  # type: ignore[assignment]  # as uvicorn, when a connection is lost
        return transport


def _certificate(shown: Mapping[str, Any]) -> Certificate:
    """Read what OpenSSL tells of a certificate that our authority has signed."""
    (device,) = (value for name in shown["subject"] for kind, value in name if kind == "commonName")
    begins_at, ends_at = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(shown[at]), UTC) for at in ("notBefore", "notAfter")
    )
    return Certificate(DeviceId(device), int(shown["serialNumber"], 16), begins_at, ends_at)


@contextmanager
def serving(app: ASGIApp, host: str, port: int, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve until the block ends, over TLS where there is a context; gives the address. Port 0 takes a free one.

    Raises:
        InputError: the address cannot be listened on, with the reason.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=_Introduced,
        log_level="warning",
        lifespan="off",
        server_header=False,
        proxy_headers=context is None,  # agents say nothing of where they are; a proxy before the pages may
        timeout_graceful_shutdown=3,
        ssl_context_factory=(lambda *_: context) if context else None,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if context else 'http'}://{shown}:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise InputError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. "
            "Another Forestall may run already; else choose another port: --bind 127.0.0.1:0"
        ) from error
