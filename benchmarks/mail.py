"""Figures for the mails of one campaign: `python benchmarks/mail.py [--people N] [--json]`.

A campaign is announced to N people (a tenth of them own machines) through the product's own post, on the embedded
PostgreSQL, to a small SMTP server in a process of its own (asyncio, in this file) that counts what it accepted by
recipient and Message-ID. When half is accepted the post is killed with SIGKILL and started again: `sent_again` were
accepted twice (the hand-overs of which the killed process had not recorded the answer), `doubles` of those under
another Message-ID, so that no mailbox could tell. `seconds` runs from the first start to the last mail, crash included.
"""

import argparse
import asyncio
import json
import multiprocessing
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from forestall.clock import stopwatch, utc_now
from forestall.domain.campaign import Campaign, Kind, Phase, Step, take
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Status
from forestall.domain.level import Level
from forestall.domain.order import CampaignId
from forestall.domain.policy import DAY, HOUR, Policy
from forestall.domain.remediation import RemediationId
from forestall.notify.message import sender_of
from forestall.notify.smtp import Courier, MailServer, Tls
from forestall.server.links import open_links
from forestall.server.mail_settings import MailSettings
from forestall.server.mail_text import Writer
from forestall.server.passes import run_pass
from forestall.server.post import Post
from forestall.store import campaigns, devices, lease, notices, records
from forestall.store.database import Database
from forestall.store.embedded import Embedded

MACHINES_A_TENTH_OWNS = 3
_MESSAGE_ID = re.compile(rb"^Message-ID: *(?:\r\n )?<([^>]+)>", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave."""

    mails: int
    machines_announced: int
    seconds: float
    mails_a_second: float
    accepted_at_the_crash: int
    recorded_at_the_crash: int
    sent_again: int
    doubles: int
    missing: int
    database: str = "embedded PostgreSQL"
    mail_server: str = "asyncio, in benchmarks/mail.py"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=55_000)
    arguments.add_argument("--json", action="store_true")
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as directory, Embedded(Path(directory) / "database") as embedded:
        found = run(Path(directory), embedded.url, wanted.people)
    if wanted.json:
        print(json.dumps(asdict(found), indent=1))
    else:
        for name, value in asdict(found).items():
            print(f"{name.replace('_', ' '):>22} {value}")


def run(directory: Path, url: str, people: int) -> Figures:
    with Database(url) as database, counting_server() as (port, ask):
        database.migrate()
        fill(database, directory, people)
        began = stopwatch()
        post = start(directory, url, port)
        crash = kill_half_way(post, ask, people)
        with database.begin() as con:
            recorded = sum(each.accepted for each in notices.progress(con))
        again = start(directory, url, port)
        again.join()
        seconds = stopwatch() - began
        counts = ask_for_all(ask)
        with database.begin() as con:
            (progress,) = notices.progress(con)
            told = [each for each in records.gather(con, progress.campaign) if each.announced_at]
    recipients = Counter(recipient for recipient, _ in counts.elements())
    names = Counter(recipient for recipient, _ in counts)
    return Figures(
        mails=len(recipients),
        machines_announced=len(told),
        seconds=round(seconds, 1),
        mails_a_second=round(len(recipients) / seconds, 1),
        accepted_at_the_crash=crash,
        recorded_at_the_crash=recorded,
        sent_again=counts.total() - len(counts),
        doubles=sum(names.values()) - len(names),
        missing=people - progress.accepted,
    )


def kill_half_way(post: BaseProcess, ask: Connection, people: int) -> int:
    """Kill the post with SIGKILL when half of the mails are accepted; gives how many were."""
    while (accepted := how_many(ask)) < people // 2:
        if not post.is_alive():
            raise RuntimeError("the post ended before half of the mails were accepted")
        time.sleep(0.05)
    post.kill()
    post.join()
    if post.exitcode != -signal.SIGKILL:
        raise RuntimeError("the post was too quick to be killed")
    return max(accepted, how_many(ask))


def start(directory: Path, url: str, port: int) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=hand_over_all, args=(directory, url, port))
    process.start()
    return process


def hand_over_all(directory: Path, url: str, port: int) -> None:
    """Be the post: the product's own, until nothing is due."""
    mail = MailSettings(
        server=MailServer("127.0.0.1", port, Tls.NONE),
        sender=sender_of("Patch Desk <patch@corp.example>"),
        return_path="bounces@corp.example",
        link_base="https://patch.corp.example",
        directory=directory / "people.csv",
    )
    with Database(url) as database, Courier(mail.server) as courier:
        post = Post(database, Policy(), Writer(mail, open_links(directory), Policy()), utc_now)
        post.write()
        while post.hand_over(courier):
            pass


def fill(database: Database, directory: Path, people: int) -> None:
    """Found a company whose campaign is just distributed, with the directory of its people."""
    now = utc_now()
    with (directory / "people.csv").open("w", encoding="utf-8") as file:
        file.write("address,name,language\n")
        file.writelines(
            f"{address_of(n)},{'山田 花子' if n % 2 else 'Asa Doe'} {n},{'ja' if n % 2 else 'en'}\n"
            for n in range(people)
        )
    testing = Campaign(
        CampaignId("openssl-1"), 1, RemediationId("bookworm/openssl/3.0.22-1~deb12u2"), Kind.PATCH, Level.CRITICAL,
        Phase.TESTING, 8 * DAY, 0.99, now - 40 * HOUR, now - 36 * HOUR, now - 30 * HOUR,
    )  # fmt: skip
    campaign = take(testing, Step.DISTRIBUTE, now) or testing
    machines = [
        Device(
            DeviceId(f"m{n}"),
            f"pc-{n}",
            SiteId("hq"),
            managed=False,
            owner=address_of(n // MACHINES_A_TENTH_OWNS * 10),
        )
        for n in range(people // 10 * MACHINES_A_TENTH_OWNS)
    ]
    with database.begin() as con:
        campaigns.save(con, campaign)
        devices.save(con, machines)
        records.enlist(con, campaign.id, dict.fromkeys((each.id for each in machines), Status.AFFECTED), now)
        held = lease.acquire(con, "decide", "benchmark", now, DAY)
    if held is not None:
        run_pass(database, held, now, Policy())


def address_of(number: int) -> str:
    return f"person-{number}@corp.example"


# -- the mail server -------------------------------------------------------------------------------------------


@contextmanager
def counting_server() -> Iterator[tuple[int, Connection]]:
    """Run the mail server in a process of its own; gives its port, and the line to ask it for its counts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        process.terminate()
        process.join()


def how_many(ask: Connection) -> int:
    ask.send("how many")
    return int(ask.recv())


def ask_for_all(ask: Connection) -> Counter[tuple[str, str]]:
    """Ask what was accepted: how often each Message-ID for each recipient."""
    ask.send("all")
    return Counter(ask.recv())


def serve(line: Connection) -> None:
    asyncio.run(_serve(line))


async def _serve(line: Connection) -> None:
    accepted = Counter[tuple[str, str]]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Talk(accepted), "127.0.0.1", 0)
    loop.add_reader(
        line.fileno(), lambda: line.send(dict(accepted) if line.recv() == "all" else accepted.total())
    )
    line.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class Talk(asyncio.Protocol):
    """One connection: as little SMTP as a client needs, answered at once."""

    def __init__(self, accepted: Counter[tuple[str, str]]) -> None:
        self._accepted = accepted
        self._buffer = bytearray()
        self._recipient = ""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._transport = transport
        self._say(b"220 counting")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = b"\r\n.\r\n" if self._in_data else b"\r\n"
            before, found, after = self._buffer.partition(end)
            if not found:
                return
            self._buffer = after
            if self._in_data:
                self._take(bytes(before))
            else:
                self._command(bytes(before))

    def _command(self, line: bytes) -> None:
        match line[:4].upper():
            case b"RCPT":
                self._recipient = line.partition(b"<")[2].partition(b">")[0].decode()
                self._say(b"250 ok")
            case b"DATA":
                self._in_data = True
                self._say(b"354 go on")
            case b"QUIT":
                self._say(b"221 bye")
                self._transport.close()
            case _:
                self._say(b"250 ok")

    def _take(self, message: bytes) -> None:
        self._in_data = False
        name = _MESSAGE_ID.search(message)
        self._accepted[self._recipient, name.group(1).decode() if name else ""] += 1
        self._say(b"250 accepted")

    def _say(self, words: bytes) -> None:
        self._transport.write(words + b"\r\n")


if __name__ == "__main__":
    main()
