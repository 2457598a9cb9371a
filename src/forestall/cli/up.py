"""`forestall up`: the server with its database on this machine, and what is open right here."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.options import Directory
from forestall.cli.output import Json, print_json, print_line
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.errors import AgentError, StoreError

if TYPE_CHECKING:
    from forestall.server.beat import Beat
    from forestall.server.loops import Outside
    from forestall.server.mail_settings import MailSettings
    from forestall.server.triage import TriageRow
    from forestall.server.trust_place import TrustPlace
    from forestall.server.wiring import Installation

HERE = DeviceId("this-machine")
WATCH_SECONDS = 60.0
DIRECTORY_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst open update and why."""

    update: str
    level: str
    why: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What `forestall up` says; the keys of `--json`."""

    updates_open: int
    worst: Worst | None
    url: str
    agents: str
    """Where agents reach the server."""
    seconds_to_ready: float
    machine: str
    """Why this machine's inventory could not be taken; empty where it could."""


def up(
    once: Annotated[bool, typer.Option("--once", help="Start, print the summary, stop.")] = False,
    bind: Annotated[str, typer.Option(help="Address and port to listen on; port 0 takes a free one.")] = "",
    agents: Annotated[str, typer.Option(help="Address and port for agents, over TLS [127.0.0.1:8471].")] = "",
    every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two passes.")] = 10.0,
    demo: Annotated[bool, typer.Option(help="Show the made-up company too.")] = True,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Start Forestall: database, advisories, this machine's inventory, status page. Changes nothing here."""
    from forestall.cli.routes import web
    from forestall.clock import stopwatch, utc_now
    from forestall.server.beat import Beat
    from forestall.server.catalogue import load_bundle
    from forestall.server.loops import Clockwork, Watch
    from forestall.server.overview import overview
    from forestall.server.triage import triage
    from forestall.server.trust_place import trust_place
    from forestall.server.wiring import opened
    from forestall.simulate.showcase import Showcase

    started = stopwatch()
    with ExitStack() as stack:
        installation = stack.enter_context(opened(data))
        database, policy = installation.database, installation.policy
        load_bundle(database, utc_now())
        trouble = _take_own_inventory(installation, utc_now())
        pages = {"/": lambda: overview(database, utc_now(), policy)}
        if demo and not once:
            showcase = Showcase(installation.settings.directory / "demo")
            pages["/company"] = showcase.overview
            stack.callback(showcase.stop)
        place = trust_place(installation.settings.directory)
        _start_signer(place, installation.settings.directory, stack)
        clockwork = Clockwork(
            database, policy, _outside(installation, place), installation.watermark, utc_now
        )
        stack.callback(clockwork.end)
        decides = _beating(stack, Beat("clockwork", clockwork.turn, every))
        if installation.settings.mail and not once:
            _hand_over(installation, installation.settings.mail, stack, every)
        if not once:
            watch = Beat("watch", Watch(database, installation.settings.feeds, utc_now).turn, WATCH_SECONDS)
            stack.callback(watch.stop, wait=False)  # nothing of a download under way is kept
            watch.start()
            _read_directory(installation, stack)
            _start_probing(stack, installation, every)
            _start_reading(stack, installation)
        url = stack.enter_context(web(installation, place, pages, bind))
        address = stack.enter_context(_listening_to_agents(installation, place, agents))
        _open_room(installation, stack, decides.wake)
        rows = triage(database, device=HERE)
        summary = Summary(len(rows), _worst(rows), url, address, round(stopwatch() - started, 1), trouble)
        _report(summary, pages, json=json)
        if "/company" in pages:
            showcase.start()
        if not once:
            _stay(installation)


def _read_directory(installation: "Installation", stack: ExitStack) -> None:
    """Read the company's directory every hour, where one is named."""
    from forestall.server.beat import Beat
    from forestall.server.directory import read_directory

    settings = installation.settings
    if (server := settings.ldap) is None:
        return

    def turn() -> None:
        read_directory(installation.database, server, settings.directory)

    beat = Beat("directory", turn, DIRECTORY_SECONDS)
    stack.callback(beat.stop, wait=False)
    beat.start()


def _outside(installation: "Installation", place: "TrustPlace") -> "Outside":
    """Connect what the settings name; what they do not name says what it would have done."""
    from forestall.server.loops import Outside
    from forestall.server.outside import effects_of
    from forestall.server.publishing import Publisher

    publisher = Publisher(installation.database, installation.policy, place.socket)
    return Outside(effects_of(installation), installation.enforcement, publisher.publish)


@contextmanager
def _listening_to_agents(installation: "Installation", place: "TrustPlace", bind: str) -> "Iterator[str]":
    """Serve agents, over TLS and by their certificates, and wake those that sleep here; gives the address."""
    from forestall.clock import utc_now
    from forestall.server.agents import AgentDesk
    from forestall.server.settings import split_bind
    from forestall.server.waking import Waker
    from forestall.trust.device_ca import open_ca
    from forestall.web.app import make_agents_app
    from forestall.web.serve import serving
    from forestall.web.streams import Streams

    settings = installation.settings
    host, port = split_bind(bind or settings.agents.bind)
    authority = open_ca(settings.device_ca, utc_now())
    desk = AgentDesk(installation.database, installation.policy, authority, place.repository)
    context = authority.context(settings.device_ca, settings.agents.known_as(host))
    streams = Streams()
    waker = Waker(installation.database, streams)
    with serving(make_agents_app(desk, streams), host, port, context) as url:
        waker.start()
        try:
            yield url
        finally:
            waker.stop()
            streams.close()


def _hand_over(installation: "Installation", mail: "MailSettings", stack: ExitStack, every: float) -> None:
    """Let the postman hand over mail until the stack is unwound."""
    from forestall.clock import utc_now
    from forestall.server.beat import Beat
    from forestall.server.claims import ClaimPost
    from forestall.server.links import open_links
    from forestall.server.post import post_of
    from forestall.server.postman import Postman

    links = open_links(installation.settings.directory)
    claims = ClaimPost(installation.database, mail, links, installation.policy, utc_now)
    postman = Postman(post_of(installation, mail, utc_now), installation.watermark, claims)
    stack.callback(postman.end)
    _beating(stack, Beat("postman", postman.turn, every))
    stack.callback(postman.hurry)


def _open_room(installation: "Installation", stack: ExitStack, wake: Callable[[], None]) -> None:
    """Open the fix-it room where the settings give it an address that quarantine reaches (A13)."""
    from forestall.cli.routes import claims
    from forestall.server.room import RoomDesk
    from forestall.server.settings import split_bind
    from forestall.web.room import make_room
    from forestall.web.serve import serving

    settings = installation.settings.room
    if settings.bind:
        desk = RoomDesk(installation.database, installation.policy, wake, settings.patches)
        stack.enter_context(serving(make_room(desk, claims(installation)), *split_bind(settings.bind)))


def _stay(installation: "Installation") -> None:
    """Work until somebody stops us. Here and not in a thread: the database ends with the thread that starts it."""
    while True:
        threading.Event().wait(2)
        with suppress(StoreError):  # the next turn of the clockwork says so
            installation.tend()


def _start_probing(stack: ExitStack, installation: "Installation", every: float) -> None:
    """Sweep the scope and look at machines in it, where there is one, until the stack ends."""
    from forestall.clock import utc_now
    from forestall.probes.sweep import allow_many_files
    from forestall.server.beat import Beat
    from forestall.server.effects import apply_open
    from forestall.server.outside import looks_of
    from forestall.server.sweeping import LOOK_EVERY_SECONDS, Sweeper

    settings, database, policy = installation.settings, installation.database, installation.policy
    looks = looks_of(installation)
    if not looks:
        return
    allow_many_files()
    sweeper = Sweeper(database, settings.scope, policy, utc_now, settings.accounts)

    def look() -> int:
        return apply_open(database, looks, "probes", utc_now(), policy)

    _beating(stack, Beat("sweeper", sweeper.turn, LOOK_EVERY_SECONDS))
    _beating(stack, Beat("probes", look, every))


def _start_reading(stack: ExitStack, installation: "Installation") -> None:
    """Read switches' and routers' tables, and take in who logs in, where the settings name either."""
    from forestall.server.beat import Beat
    from forestall.server.reading import LOOK_EVERY_SECONDS, reader_of

    reader = reader_of(installation)
    if reader is not None:
        stack.callback(reader.close)
        _beating(stack, Beat("tables", reader.turn, LOOK_EVERY_SECONDS))


def _beating(stack: ExitStack, beat: "Beat") -> "Beat":
    """Let something take its turns until the stack ends."""
    stack.callback(beat.stop)
    beat.start()
    return beat


def _start_signer(place: "TrustPlace", directory: Path, stack: ExitStack) -> None:
    """Start the signer of a development ceremony, held now if none ever was; a company runs its own."""
    from forestall.clock import utc_now
    from forestall.trust.caps import Caps

    if not place.folder.exists():
        place.hold_development(Caps(machines=1_000, forced_an_hour=1_000), utc_now())
    word = place.development_passphrase
    if not word.exists():
        return
    command = (sys.executable, "-m", "forestall.cli", "signer")
    options = ("--passphrase-file", str(word), "--parent", str(os.getpid()), "--data", str(directory))
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE)
    if process.stdout is not None:
        process.stdout.readline()  # it listens, or has ended and said why
    stack.callback(process.wait)
    stack.callback(process.terminate)


def _take_own_inventory(installation: "Installation", now: datetime) -> str:
    """Look at the machine we run on, without changing it; says why where that is not possible."""
    from forestall.agent.debian import debian_at
    from forestall.agent.inventory import dpkg
    from forestall.domain.inventory import hash_of
    from forestall.store import devices, inventories

    try:
        found = dpkg.take(debian_at(Path("/")))
    except AgentError as error:
        return str(error)
    here = Device(HERE, socket.gethostname(), SiteId("here"), managed=False, seen_at=now)
    with installation.database.begin() as con:
        devices.save(con, [here])
        inventories.put(con, HERE, found, hash_of(found), 0, now)
    return ""


def _worst(rows: "Sequence[TriageRow]") -> Worst | None:
    if not rows:
        return None
    return Worst(rows[0].remediation, rows[0].level, rows[0].reasons[0] if rows[0].reasons else "")


def _report(summary: Summary, pages: Iterable[str], *, json: bool) -> None:
    if json:
        print_json(summary)
        return
    if summary.machine:
        print_line(f"This machine's packages cannot be read: {summary.machine}")
    else:
        print_line(f"{summary.updates_open} updates are open on this machine.")
    if summary.worst is not None:
        print_line(f"Worst: {summary.worst.update} (proposed: {summary.worst.level}): {summary.worst.why}")
    print_line(f"Status page: {summary.url}   (ready after {summary.seconds_to_ready} s; Ctrl-C stops)")
    print_line(f"Agents reach it at {summary.agents}")
    if "/company" in pages:
        print_line(f"A made-up company of 20,000 machines lives into its campaign now: {summary.url}company")
        print_line("Turn its clock: forestall demo +1d")
