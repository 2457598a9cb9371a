"""Conversations with real sockets on loopback: bounds on bytes, time and pace, and nothing out of scope (P6.2)."""

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from itertools import count
from pathlib import Path

import pytest

from forestall.domain.device import SiteId
from forestall.domain.evidence import Status
from forestall.domain.scope import Area, Scope
from forestall.probes import talk
from forestall.probes.answer import Answer, Ask, Ended, Heard, unknown
from forestall.probes.pace import Pace
from forestall.probes.probe import Finding, Probe, probe_named, run
from forestall.probes.talk import MOST_BYTES, MOST_QUESTIONS, Result, Wanted, talk_all

LOOPBACK = Scope(
    (Area(SiteId("here"), (ip_network("127.0.0.0/8"), ip_network("::1/128")), per_second=100_000),)
)
Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve, address: str = "127.0.0.1") -> Iterator[int]:
    """Serve each connection in turn on a port of our own."""
    with socket.create_server((address, 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, serve))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, serve: Serve) -> None:
    with contextlib.suppress(OSError):
        while True:
            with listener.accept()[0] as line, contextlib.suppress(OSError):
                serve(line)


def listen(said: list[tuple[Heard, ...]], complete=lambda data: b"\n" in data):
    """Ask once, keep what was heard."""

    def conversation(heard: tuple[Heard, ...]) -> Ask | Answer:
        if not heard:
            return Ask(b"hello\n", complete)
        said.append(heard)
        return unknown("heard")

    return conversation


def talk_to(port: int, conversation, address: str = "127.0.0.1") -> Result:
    (result,) = talk_all([Wanted("test", address, port, conversation)], LOOPBACK)
    return result


def flood(line: socket.socket) -> None:
    while True:
        line.sendall(b"SSH-" * 4_096)


def drip(line: socket.socket) -> None:
    """Never end: one byte whenever the other side still listens."""
    line.settimeout(0.2)
    while True:
        line.sendall(b"x")
        with contextlib.suppress(TimeoutError):
            if not line.recv(10):
                return


def keep_quiet(line: socket.socket) -> None:
    while line.recv(1_000):
        pass


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Wait for answers however busy this machine is."""
    monkeypatch.setattr(talk, "QUESTION_SECONDS", 60.0)
    monkeypatch.setattr(talk, "CONVERSATION_SECONDS", 60.0)


@pytest.fixture
def hurried(patient, monkeypatch):
    """The same limits, shorter, so that nobody waits for them."""
    monkeypatch.setattr(talk, "QUESTION_SECONDS", 0.3)
    monkeypatch.setattr(talk, "CONVERSATION_SECONDS", 0.6)


@pytest.mark.parametrize(
    ("serve", "ended", "length"),
    [
        pytest.param(lambda line: line.sendall(b"well\n"), Ended.COMPLETE, 5, id="an answer"),
        pytest.param(lambda line: line.sendall(b"half"), Ended.CLOSED, 4, id="half an answer, then hangs up"),
        pytest.param(lambda _: None, Ended.CLOSED, 0, id="hangs up at once"),
        pytest.param(flood, Ended.FULL, MOST_BYTES, id="gigabytes: no more is read than the limit"),
    ],
)
def test_a_server_that(serve: Serve, ended: Ended, length: int):
    said: list[tuple[Heard, ...]] = []
    with serving(serve) as port:
        result = talk_to(port, listen(said))
    ((heard,),) = said
    assert (heard.ended, len(heard.data), result.reached) == (ended, length, True)


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(keep_quiet, id="takes the connection and says nothing"),
        pytest.param(drip, id="never ends: time ends it"),
    ],
)
def test_silence(hurried, serve: Serve):
    said: list[tuple[Heard, ...]] = []
    with serving(serve) as port:
        result = talk_to(port, listen(said))
    ((heard,),) = said
    assert (heard.ended, result.reached) == (Ended.SILENT, True)
    assert len(heard.data) <= MOST_BYTES


def test_escape_sequences_and_line_breaks_stay_out_of_what_is_shown():
    hostile = b"SSH-2.0-OpenSSH_9.2p1\x1b]0;owned\x07\x1b[2J \xe2\x80\xae\r\n"
    with serving(lambda line: line.sendall(hostile)) as port:
        (finding,) = run([("127.0.0.1", replace(probe_named("ssh-banner"), port=port))], LOOPBACK)
    assert finding.answer.status is Status.UNKNOWN
    assert (finding.answer.detail + finding.answer.proof).isascii()
    assert "\x1b" not in finding.answer.detail + finding.answer.proof


def test_nobody_listening_is_a_sign_of_life_and_no_verdict():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = talk_to(port, listen([]))
    assert (result.reached, result.answer.status) == (True, Status.UNKNOWN)
    assert result.answer.detail == f"nothing listens on port {port}"


def test_a_datagram_that_nobody_takes_is_a_sign_of_life_too():
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    wanted = Wanted("test", "127.0.0.1", port, listen([]), datagrams=True)
    (result,) = talk_all([wanted], LOOPBACK)
    assert (result.reached, result.answer.detail) == (True, f"nothing listens on port {port}")


def test_a_machine_that_does_not_answer_at_all_was_not_reached(hurried):
    with silent_port() as port:
        result = talk_to(port, listen([]))
    assert (result.reached, result.answer.detail) == (False, "nobody answered in time")


@contextmanager
def silent_port() -> Iterator[int]:
    """Keep a port that answers no knock: its queue is full, and the kernel drops what comes."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_probe_that_fails_on_an_answer_says_so_and_the_others_go_on():
    def broken(heard: tuple[Heard, ...]) -> Ask | Answer:
        return Ask(b"", bool) if not heard else unknown(str(1 // 0))

    with serving(lambda line: line.sendall(b"x\n")) as port:
        pairs = [Wanted(name, "127.0.0.1", port, each) for name, each in (("a", broken), ("b", listen([])))]
        details = {result.wanted.probe: result.answer.detail for result in talk_all(pairs, LOOPBACK)}
    assert "failed on this answer (ZeroDivisionError)" in details["a"]
    assert details["b"] == "heard"


def test_a_conversation_without_end_is_ended():
    told: list[int] = []

    def curious(heard: tuple[Heard, ...]) -> Ask | Answer:
        told.append(len(heard))
        return Ask(b"more\n", bool)

    def answer_all(line: socket.socket) -> None:
        while asked := line.recv(5):
            line.sendall(asked)

    with serving(answer_all) as port:
        result = talk_to(port, curious)
    assert result.answer.detail == "the conversation took too long"
    assert told == [*range(MOST_QUESTIONS + 1)]


def test_a_closed_connection_is_told_to_the_next_question_and_a_fresh_one_is_opened_for_a_fresh_one():
    told: list[tuple[Heard, ...]] = []
    number = count(1)

    def conversation(heard: tuple[Heard, ...]) -> Ask | Answer:
        told.append(heard)
        match len(heard):
            case 0:
                return Ask(b"", lambda data: b"\n" in data)
            case 1:
                return Ask(b"again\n", bool)
            case 2:
                return Ask(b"", lambda data: b"\n" in data, fresh=True)
        return unknown("done")

    with serving(lambda line: line.sendall(b"%d" % next(number))) as port:
        talk_to(port, conversation)
    assert told[-1] == (Heard(b"1", Ended.CLOSED), Heard(b"", Ended.CLOSED), Heard(b"2", Ended.CLOSED))
    assert len(told) < MOST_QUESTIONS


def test_one_machine_is_never_talked_to_by_two_probes_at_once():
    """Its server takes one connection at a time and notes whether another already waits."""
    waiting: list[bool] = []

    def conversation(heard: tuple[Heard, ...]) -> Ask | Answer:
        if not heard:
            return Ask(b"hello\n", lambda data: b"\n" in data)
        waiting.append(bool(select.select([listener], [], [], 0)[0]))
        return unknown("heard")

    def serve() -> None:
        for _ in range(20):
            with listener.accept()[0] as line, contextlib.suppress(OSError):
                line.sendall(line.recv(6))
                keep_quiet(line)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        results = list(
            talk_all([Wanted(str(n), "127.0.0.1", port, conversation) for n in range(20)], LOOPBACK)
        )
        thread.join()
    assert (len(results), waiting) == (20, [False] * 20)


def test_the_pace_of_an_area_is_kept():
    pace, area = Pace(), Area(SiteId("far"), (), per_second=100)
    assert pace.take(area, 50, 0.0) == 10, "a tenth of a second is in the bucket"
    assert pace.take(area, 50, 0.0) == 0
    assert pace.take(area, 50, 0.05) == 5
    pace.spend(area, 0.06)
    assert pace.take(area, 50, 0.07) == 1, "a further connection of one conversation counts, too"
    assert pace.take(area, 50, 60.0) == 10, "nothing is saved up"
    other = Area(SiteId("near"), (), per_second=3)
    assert [pace.take(other, 9, now / 3) for now in range(4)] == [1, 1, 1, 1]


def test_an_address_out_of_scope_is_refused_in_words():
    with serving(lambda line: line.sendall(b"x\n")) as port:
        only = Scope((Area(SiteId("here"), (ip_network("127.0.0.2/32"),)),))
        for address in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
            (result,) = talk_all([Wanted("test", address, port, listen([]))], only)
            assert not result.reached
            assert result.answer.detail == f"{address} is in no scope: nothing was sent"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = (
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=lab", "-keyout", str(path), "-out", f"{path}.crt",
    )  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.mark.parametrize(
    ("least", "most", "offered"),
    [
        pytest.param(
            ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, "TLS 1.2, TLS 1.3", id="OpenSSL as it comes"
        ),
        pytest.param(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "TLS 1.2", id="TLS 1.2 only"),
        pytest.param(ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, "TLS 1.3", id="TLS 1.3 only"),
    ],
)
def test_a_real_tls_server(certificate: Path, least, most, offered: str):
    """OpenSSL itself, by Python's ssl."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = least, most
    context.load_cert_chain(certificate)

    def serve(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as secured:
            secured.recv(1)

    with serving(serve) as port:
        found = {each.probe: each for each in ask(port, "tls-versions", "tls-certificate", "tls-heartbleed")}
    assert found["tls-versions"].answer.proof == offered
    assert found["tls-versions"].answer.status is Status.FIXED
    if least is ssl.TLSVersion.TLSv1_3:
        assert "TLS 1.3 only" in found["tls-certificate"].answer.detail
    else:
        assert "valid until 20" in found["tls-certificate"].answer.detail
        assert found["tls-heartbleed"].answer.status is Status.NOT_AFFECTED


def ask(port: int, *names: str) -> list[Finding]:
    probes: Sequence[Probe] = [replace(probe_named(name), port=port) for name in names]
    return run([("127.0.0.1", probe) for probe in probes], LOOPBACK)
