"""`forestall signer`: the process that holds the online keys; it belongs under a user of its own."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from forestall.cli.options import Directory
from forestall.cli.output import print_line


def signer(
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File whose first line opens the online keys; else asked for.")
    ] = None,
    data: Directory = None,
) -> None:
    """Sign orders within approvals and caps, as the server asks over a socket; stop with SIGTERM."""
    from forestall.cli.keys import passphrase_of
    from forestall.clock import utc_now
    from forestall.server.settings import load_settings
    from forestall.server.trust_place import trust_place
    from forestall.trust.caps import load_caps
    from forestall.trust.channel import serve
    from forestall.trust.keys import load_keys
    from forestall.trust.signer import Signer

    place = trust_place(load_settings(data).directory)
    keys = load_keys([place.online], passphrase_of(passphrase_file, new=False))
    made = Signer(place.online, place.repository, keys, load_caps(place.online))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print_line(f"The signer listens at {place.socket}")
    serve(place.socket, made, utc_now, stop)
