"""Talking to a server that is slow, wrong, hostile or gone; remembering across power cuts; the pauses between."""

import os
import socket
import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.company import START, Company, hint, order
from certificates import authority
from forestall import protocol
from forestall.agent import client, identity, journal, schedule, state
from forestall.agent.client import Line, NoAnswer, server_at
from forestall.agent.journal import Entry
from forestall.agent.state import Held, State
from forestall.domain.errors import AgentError, InputError

REPORT = protocol.CheckIn("1", "boot", 1, "0" * 64, [])


def ask(company: Company) -> protocol.CheckInAnswer | NoAnswer:
    return client.check_in(line_to(company.url), REPORT)


def line_to(url: str) -> Line:
    """The way of somebody without a certificate."""
    return Line(server_at(url), client.pinned(authority().pem))


ANSWERS = [
    pytest.param(200, {}, b"not json", "does not understand", id="no JSON"),
    pytest.param(200, {}, b'{"orders": 7}', "does not understand", id="wrong types"),
    pytest.param(
        200,
        {},
        b'{"server_time":"2026-11-24T08:00:00Z","send_inventory":false,"next_check_seconds":1,"published":1,"hints":'
        b'[{"campaign":"c-1","offered_at":"2026-11-24T08:00:00","force_at":"2026-11-24T08:00:00Z"}]}',
        "does not understand",
        id="an instant without a time zone",
    ),
    pytest.param(
        200,
        {},
        b'{"server_time":"9999-12-31T23:59:59Z","send_inventory":false,"next_check_seconds":1,"published":1,"hints":[]}',
        "does not understand",
        id="the end of time",
    ),
    pytest.param(200, {}, b"[" * 100_000, "does not understand", id="nesting without end"),
    pytest.param(200, {}, b'{"a":"\xff\xfe"}', "does not understand", id="no UTF-8"),
    pytest.param(200, {}, b"x" * (5 << 20), "too much", id="more than an answer may be"),
    pytest.param(302, {"Location": "http://127.0.0.1:9/"}, b"", "302", id="a redirect is not followed"),
    pytest.param(
        401, {}, b'{"title":"No","detail":"who?","status":401}', "No: who?", id="refused with a reason"
    ),
    pytest.param(500, {}, b"\x1b[31mred", "500", id="refused without one"),
]


@pytest.mark.parametrize(("status", "headers", "body", "reason"), ANSWERS)
def test_a_wrong_answer_is_a_reason_not_a_crash(
    company: Company, status: int, headers: dict[str, str], body: bytes, reason: str
) -> None:
    company.refuse = (status, headers, body)
    answer = ask(company)
    assert isinstance(answer, NoAnswer)
    assert reason in answer.reason
    assert "\x1b" not in answer.reason


RETRIES = [
    pytest.param("120", timedelta(minutes=2), id="seconds"),
    pytest.param("soon", None, id="a word"),
    pytest.param("-5", None, id="less than nothing"),
    pytest.param("9" * 40, None, id="for ever"),
    pytest.param("٣", None, id="digits that are not ASCII"),
]


@pytest.mark.parametrize(("text", "pause"), RETRIES)
def test_retry_after_is_read_with_care(company: Company, text: str, pause: timedelta | None) -> None:
    company.refuse = (503, {"Retry-After": text.encode().decode("latin-1")}, b"")
    answer = ask(company)
    assert isinstance(answer, NoAnswer)
    assert answer.retry_after == pause


def test_a_server_that_hangs_up_or_talks_nonsense_is_a_reason() -> None:
    for said in (b"", b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            answered = threading.Thread(target=_say_once, args=(listener, said))
            answered.start()
            answer = client.check_in(line_to(f"https://127.0.0.1:{port}"), REPORT)
            answered.join()
        assert isinstance(answer, NoAnswer)


def _say_once(listener: socket.socket, said: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(said)


def test_no_proxy_of_the_environment_is_used(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """R38."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert isinstance(ask(company), protocol.CheckInAnswer)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://server",
        "server:80",
        "http://",
        "http://user:word@server",
        "http://server:99999",
        "http://[::1",
        "https://s?x",
    ],
)
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(InputError, match="address"):
        server_at(url)


HELD = st.builds(
    Held,
    order=st.just(order()),
    hint=st.just(hint()),
    held_since=st.just(START),
    detail=st.text(),
    failures=st.integers(0, 9),
)
STATES = st.builds(State, sequence=st.integers(0, 2**50), held=st.dictionaries(st.just("c-1"), HELD))


@given(STATES)
def test_a_state_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, written: State
) -> None:
    directory = tmp_path_factory.mktemp("state")
    state.save(directory, written)
    assert state.load(directory) == (written, "")


@given(st.integers(0, 400), st.binary(max_size=3).filter(lambda noise: b"}" not in noise))
def test_a_torn_state_is_set_aside_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, length: int, noise: bytes
) -> None:
    """R13."""
    directory = tmp_path_factory.mktemp("state")
    state.save(directory, State(sequence=7, held={"c-1": Held(order=order(), hint=hint(), held_since=START)}))
    whole = (directory / "state.json").read_bytes()
    (directory / "state.json").write_bytes(whole[: min(length, len(whole) - 3)] + noise)
    loaded, complaint = state.load(directory)
    assert loaded == State()
    assert "damaged" in complaint
    assert (directory / "state.json.damaged").exists()


def test_a_write_that_is_cut_off_leaves_the_old_state(tmp_path: Path) -> None:
    """R13: the new file stands beside the old one until it is whole and on disk."""
    state.save(tmp_path, State(sequence=1))
    (tmp_path / ".state.json.new").write_bytes(b'{"sequence": 2')
    assert state.load(tmp_path)[0].sequence == 1
    state.save(tmp_path, State(sequence=3))
    assert state.load(tmp_path)[0].sequence == 3


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    """R38."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".state.json.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        state.save(tmp_path, State())
    assert victim.read_text() == "precious"


def test_the_identity_is_for_its_owner_only(company: Company, tmp_path: Path) -> None:
    """R37."""
    os.umask(os.umask(0))
    company.enrol(tmp_path)
    assert (tmp_path / "identity.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "identity.json").stat().st_mode & 0o777 == 0o600
    assert (identity.load(tmp_path).device, identity.load(tmp_path).server) == ("d-1", company.url)


def test_a_directory_that_others_may_change_is_refused(tmp_path: Path) -> None:
    """R38."""
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(AgentError, match="others"):
        identity.prepare(open_to_all)


def test_a_damaged_identity_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="not enrolled yet"):
        identity.load(tmp_path)
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(AgentError, match=r"identity\.json is damaged.*enrol again"):
        identity.load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_certificate_says_what_to_do(company: Company, tmp_path: Path, content: bytes) -> None:
    company.enrol(tmp_path)
    (tmp_path / "identity.pem").write_bytes(content)
    with pytest.raises(AgentError, match=r"identity\.pem is damaged.*enrol again"):
        identity.load(tmp_path)


def test_a_key_of_another_certificate_says_what_to_do(company: Company, tmp_path: Path) -> None:
    company.enrol(tmp_path)
    whole = (tmp_path / "identity.pem").read_bytes()
    company.enrol(tmp_path)
    other = (tmp_path / "identity.pem").read_bytes()
    mark = b"-----BEGIN PRIVATE KEY"
    (tmp_path / "identity.pem").write_bytes(whole.partition(mark)[0] + mark + other.partition(mark)[2])
    with pytest.raises(AgentError, match="enrol again"):
        identity.load(tmp_path).line()


def test_the_journal_is_kept_line_by_line_and_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    assert journal.tail(tmp_path, 5) == []
    for number in range(8):
        journal.append(tmp_path, Entry(START, f"event {number}", detail="red \x1b[31m"))
    with (tmp_path / "journal.jsonl").open("ab") as sink:
        sink.write(b'{"at": "2026')
    entries = journal.tail(tmp_path, 3)
    assert [entry.event for entry in entries] == ["event 5", "event 6", "event 7"]
    assert "\x1b" not in entries[0].detail


@given(st.integers(0, 10**6), st.none() | st.integers(0, 10**9), st.floats(0, 1))
def test_pauses_stay_within_reason(silent: int, retry_after: int | None, spread: float) -> None:
    """R31: never a hammer, never for ever."""
    asked = None if retry_after is None else timedelta(seconds=retry_after)
    pause = schedule.after_silence(silent, asked, spread)
    assert timedelta(seconds=1) <= pause <= timedelta(hours=36)
    if asked is not None and asked <= timedelta(hours=24):
        assert pause >= asked


def test_the_first_pauses_double_and_are_spread() -> None:
    """R31."""
    fixed = [schedule.after_silence(n, None, 1.0).total_seconds() for n in range(9)]
    assert fixed == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert schedule.after_silence(3, None, 0.0) == timedelta(seconds=120)


def test_the_servers_wish_is_obeyed_within_a_day() -> None:
    """P5.3."""
    assert schedule.after_answer(timedelta(hours=4)) == schedule.CHECK_EVERY
    assert schedule.after_answer(timedelta()) == timedelta(seconds=1)
    assert schedule.after_answer(timedelta(days=9)) == timedelta(days=1)


def test_messages_fit_what_the_protocol_promises(company: Company) -> None:
    """About 500 bytes a check-in with one order."""
    states = [protocol.OrderState("c-1", 1, "affected", detail="libssl3 3.0.20-1~deb12u2 is older")]
    report = protocol.CheckIn("0.1.0", "0" * 36, 12, "0" * 64, states)
    assert len(msgspec.json.encode(report)) < 500
