"""Serves an application on an address of this machine, in a thread of its own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from forestall.domain.errors import InputError


@contextmanager
def serving(app: Starlette, host: str, port: int) -> Iterator[str]:
    """Serve until the block ends; gives the address. Port 0 takes a free one.

    Raises:
        InputError: the address cannot be listened on, with the reason.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", server_header=False, timeout_graceful_shutdown=3
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{listener.getsockname()[1]}/"
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
