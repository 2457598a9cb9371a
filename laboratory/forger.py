"""A company's signed files behind a server on loopback that can answer with a forged file instead of a genuine one."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from forestall import protocol
from forestall.agent import client, journal, orders
from forestall.agent.installers import steps
from forestall.agent.installers.recipes import Recipes
from forestall.agent.journal import Entry
from forestall.agent.sight import Sight
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Status
from forestall.domain.inventory import Inventory
from forestall.domain.order import Limits, Order, Standing, Step, Verb, next_step
from forestall.domain.product import ProductName
from forestall.trust.verifier import Source, Trust

NOTHING = Sight(Inventory("", ()), "", ())
"""A machine without packages."""


@dataclass
class Shelf:
    """What is served: the files of a folder, some of them replaced."""

    folder: Path
    forged: dict[str, bytes] = field(default_factory=dict)
    """By path below `/trust/`."""
    hidden: set[str] = field(default_factory=set)
    cut_at: int | None = None
    """Where the connection breaks off in a target."""
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> bytes | None:
        """Give what is served at a path."""
        name = path.removeprefix("/trust/")
        if name in self.forged:
            return self.forged[name]
        file = self.folder / name
        return file.read_bytes() if name not in self.hidden and file.is_file() else None

    def genuine(self) -> dict[str, bytes]:
        """Read everything that is served, by path."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


@contextmanager
def served(shelf: Shelf) -> Iterator[Shelf]:
    """Serve a shelf on loopback until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(shelf))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    shelf.url = f"http://127.0.0.1:{server.server_port}/trust"
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shelf.asked.append(self.path)
            content = shelf.answer(self.path)
            begin = self._begin()
            self.send_response(404 if content is None else 206 if begin else 200)
            body = (content or b"")[begin:]
            if begin:
                self.send_header(
                    "Content-Range", f"bytes {begin}-{begin + len(body) - 1}/{begin + len(body)}"
                )
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: shelf.cut_at] if "/targets/" in self.path else body)

        def _begin(self) -> int:
            wanted = self.headers.get("Range", "")
            if not wanted:
                return 0
            shelf.ranges.append(wanted)
            return int(wanted.removeprefix("bytes=").removesuffix("-"))

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine at the door: what it would do with what is served, past every countdown and pause.

    Recipes it really carries out, below its own folder.
    """

    folder: Path
    root: bytes
    device: str

    @property
    def directory(self) -> Path:
        """The agent's own."""
        return self.folder / "agent"

    def look(
        self, url: str, hints: Sequence[protocol.OrderHint], now: datetime, *, trust: Trust | None = None
    ) -> dict[str, Step]:
        """Take in what is served and decide; every refusal goes into the journal, as in the agent."""
        self.directory.mkdir(exist_ok=True, mode=0o700)
        if trust is None:
            trust = Trust(self.directory / "trust", self.root, (Source(url),), client.tls_context())
            if not trust.refresh(now, 0):
                self._note(map(str, trust.refusals), now)
                return {}
        reader = orders.Reader(DeviceId(self.device), frozenset(ProductName))
        accepted = orders.accept(hints, {}, trust, reader, now)
        self._note(accepted.refused, now)
        standing = Standing(Status.AFFECTED, offered=True, downloaded=True, checked_at=now)
        decided: dict[str, Step] = {}
        for held in accepted.held.values():
            order = orders.order_of(held)
            step = next_step(order, standing, now, Limits()).step
            if step is Step.FORCE and order.recipe is not None and not self._carried_out(order, trust, now):
                step = Step.WAIT
            decided[
                order.remediation if order.verb is Verb.UPGRADE else f"{order.verb} {order.remediation}"
            ] = step
        return decided

    def _carried_out(self, order: Order, trust: Trust, now: datetime) -> bool:
        installer = Recipes(steps.Machine(self.folder, self.directory), trust, lambda: now)
        outcome = installer.install(order, NOTHING, self.directory / "log")
        if not outcome.done:
            self._note([outcome.detail], now)
        return outcome.done

    def recorded(self) -> int:
        """Count the refusals on record."""
        return sum(entry.event == "order refused" for entry in journal.tail(self.directory, 1_000))

    def _note(self, sentences: Iterable[str], now: datetime) -> None:
        for sentence in sentences:
            journal.append(self.directory, Entry(now, "order refused", detail=sentence))


def changed_byte(content: bytes, draw: Random) -> bytes:
    """Change, drop or add one byte."""
    place = draw.randrange(len(content))
    kind = draw.randrange(4)
    if kind == 0:
        return content[:place] + content[place + 1 :]
    if kind == 1:
        return content[:place] + bytes([draw.randrange(256)]) + content[place:]
    return content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :]


def changed_field(content: bytes, draw: Random) -> bytes:
    """Change, drop or replace one field somewhere in a JSON document."""
    tree = json.loads(content)
    places = list(_places(tree))
    holder, key = places[draw.randrange(len(places))]
    kind = draw.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = draw.choice([None, True, 0, -1, 2**40, "", [], {}, "2099-01-01T00:00:00Z", "0" * 64])
    else:
        holder[key] = _other(holder[key], draw)
    return json.dumps(tree, separators=(",", ":")).encode()


def same_meaning(one: bytes, other: bytes) -> bool:
    """Say whether two documents say the same; signatures and hashes are numbers, so their case means nothing."""
    try:
        return bool(_plain(json.loads(one)) == _plain(json.loads(other)))
    except (ValueError, RecursionError):
        return False


def _plain(tree: object) -> object:
    if isinstance(tree, dict):
        found = {key: _plain(value) for key, value in tree.items()}
        if isinstance(found.get("sig"), str):
            found["sig"] = str(found["sig"]).lower()
        return found
    return [_plain(each) for each in tree] if isinstance(tree, list) else tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any JSON
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in children:
        yield tree, key
        yield from _places(value)


def _other(value: object, draw: Random) -> object:
    if isinstance(value, str):
        return _other_text(value, draw)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + draw.choice([-1, 1, 1_000])
    if isinstance(value, list):
        return [*value, *value] or [1]
    return {**value, "more": 1} if isinstance(value, dict) else 0


def _other_text(value: str, draw: Random) -> str:
    try:
        return (datetime.fromisoformat(value) + timedelta(days=draw.choice([-30, 30]))).isoformat()
    except ValueError:
        return value[::-1] if value[::-1] != value else f"{value}x"


def hint_of(campaign: str, at: datetime) -> protocol.OrderHint:
    """Say nothing that would delay."""
    return protocol.OrderHint(campaign, at, at)
