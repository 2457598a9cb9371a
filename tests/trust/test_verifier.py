"""The agent's side: every way of serving signed files wrong is refused by name; a mirror costs one fall-back."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from laboratory.forger import Shelf, served
from laboratory.office import PASSPHRASE, Office
from tuf.ngclient import Updater

from forestall.domain.remediation import RemediationId
from forestall.trust import fetcher
from forestall.trust.documents import OrderDocument, read, write
from forestall.trust.keys import make_key
from forestall.trust.roles import Role, imminent_path, remediation_path
from forestall.trust.rotation import rotate
from forestall.trust.travel import Folder
from forestall.trust.verifier import Reason, Refusal, Trust
from trust.papers import HOUR, NOW, ORDER, PATH, approve, order

Trusting = Callable[..., Trust]
Spoil = Callable[[Office, Shelf], None]

UPDATE = RemediationId("bookworm/openssl/3.0.22-1~deb12u2")
APPROVAL, THREAT = remediation_path(UPDATE), imminent_path(UPDATE)


def reasons(trust: Trust) -> list[Reason]:
    return [refusal.reason for refusal in trust.refusals]


def test_what_is_signed_is_read(office: Office, shelf: Shelf, trusting: Trusting) -> None:
    trust = trusting(shelf.url)
    assert trust.refresh(NOW, office.published)
    assert read(trust.read(PATH, NOW), OrderDocument) == ORDER
    assert trust.refusals == []


def test_what_no_list_names_is_said_so(office: Office, shelf: Shelf, trusting: Trusting) -> None:
    trust = trusting(shelf.url)
    assert trust.refresh(NOW, 0)
    found = trust.read("orders/other-1.json", NOW)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.NOT_NAMED


def metadata(shelf: Shelf, role: Role, office: Office) -> str:
    newest = office.repository.newest(role)
    return next(name for name, content in shelf.genuine().items() if content == newest)


def replaced(role: Role, change: Callable[[bytes], bytes]) -> Spoil:
    def spoil(office: Office, shelf: Shelf) -> None:
        shelf.forged[metadata(shelf, role, office)] = change(office.repository.newest(role))

    return spoil


def signed_with(role: Role, other: Role, count: int = 9) -> Spoil:
    """Publish a role's papers signed with these keys instead of its own."""

    def spoil(office: Office, _: Shelf) -> None:
        path, content = {
            Role.ORDERS: (PATH, write(ORDER)),
            Role.REMEDIATIONS: (APPROVAL, write(approve(ORDER))),
            Role.IMMINENT: (THREAT, b"{}"),
        }[role]
        office.publish({role: {path: content}}, NOW, {role: office.keys(other)[:count]})

    return spoil


def older_snapshot(office: Office, shelf: Shelf) -> None:
    shelf.forged["metadata/2.snapshot.json"] = (
        office.repository.directory / "metadata/1.snapshot.json"
    ).read_bytes()


def other_orders(office: Office, shelf: Shelf) -> None:
    shelf.forged["metadata/2.orders.json"] = (
        office.repository.directory / "metadata/1.orders.json"
    ).read_bytes()


METADATA = [
    pytest.param(
        replaced(Role.TIMESTAMP, lambda data: data[:-40]), Reason.MALFORMED, id="a timestamp cut short"
    ),
    pytest.param(replaced(Role.SNAPSHOT, lambda data: data[:-40]), Reason.ALTERED, id="a snapshot cut short"),
    pytest.param(replaced(Role.TIMESTAMP, lambda _: b""), Reason.MALFORMED, id="an empty timestamp"),
    pytest.param(
        replaced(Role.TIMESTAMP, lambda _: b"[" * 9_000), Reason.MALFORMED, id="nesting without end"
    ),
    pytest.param(
        replaced(Role.TIMESTAMP, lambda data: data + b" " * 20_000),
        Reason.TOO_LONG,
        id="a timestamp too long",
    ),
    pytest.param(
        replaced(Role.SNAPSHOT, lambda data: data + b" "), Reason.TOO_LONG, id="a snapshot too long"
    ),
    pytest.param(
        replaced(Role.TIMESTAMP, lambda data: data.replace(b'"version":2}}', b'"version":9}}')),
        Reason.UNSIGNED,
        id="a timestamp with another version",
    ),
    pytest.param(
        replaced(Role.TIMESTAMP, lambda data: data.replace(b'},"spec', b',"more":1},"spec')),
        Reason.MALFORMED,
        id="a timestamp that says more than tuf understands",
    ),
    pytest.param(
        replaced(Role.TIMESTAMP, lambda data: data.replace(b",", b", ", 1)),
        Reason.MALFORMED,
        id="one blank more",
    ),
    pytest.param(older_snapshot, Reason.ALTERED, id="the snapshot of another time"),
    pytest.param(replaced(Role.TARGETS, lambda data: data[::-1]), Reason.ALTERED, id="delegations changed"),
]


@pytest.mark.parametrize(("spoil", "reason"), METADATA)
def test_wrong_lists_are_refused(
    office: Office, shelf: Shelf, trusting: Trusting, spoil: Spoil, reason: Reason
) -> None:
    """A10, R20."""
    spoil(office, shelf)
    trust = trusting(shelf.url)
    assert not trust.refresh(NOW, 0)
    assert reasons(trust) == [reason]
    assert isinstance(trust.read(PATH, NOW), Refusal)


PAPERS = [
    pytest.param(
        signed_with(Role.ORDERS, Role.SNAPSHOT),
        PATH,
        Reason.UNSIGNED,
        id="orders signed with another online key",
    ),
    pytest.param(
        signed_with(Role.REMEDIATIONS, Role.ORDERS), APPROVAL, Reason.UNSIGNED, id="an approval by the server"
    ),
    pytest.param(
        signed_with(Role.REMEDIATIONS, Role.REMEDIATIONS, 1),
        APPROVAL,
        Reason.UNSIGNED,
        id="an approval signed by one person of two",
    ),
    pytest.param(
        signed_with(Role.IMMINENT, Role.IMMINENT, 1),
        THREAT,
        Reason.UNSIGNED,
        id="an imminent threat declared by one person, A9",
    ),
    pytest.param(
        signed_with(Role.IMMINENT, Role.REMEDIATIONS),
        THREAT,
        Reason.UNSIGNED,
        id="an imminent threat signed by those who approve",
    ),
    pytest.param(other_orders, PATH, Reason.ALTERED, id="the orders of another time"),
    pytest.param(
        replaced(Role.ORDERS, lambda data: data + b"\n"), PATH, Reason.TOO_LONG, id="orders with a byte more"
    ),
]


@pytest.mark.parametrize(("spoil", "path", "reason"), PAPERS)
def test_wrong_papers_are_refused(
    office: Office, shelf: Shelf, trusting: Trusting, spoil: Spoil, path: str, reason: Reason
) -> None:
    spoil(office, shelf)
    trust = trusting(shelf.url)
    assert trust.refresh(NOW, 0)
    found = trust.read(path, NOW)
    assert isinstance(found, Refusal)
    assert found.reason is reason


def test_a_changed_paper_is_refused_and_the_others_are_read(
    office: Office, shelf: Shelf, trusting: Trusting
) -> None:
    office.sign([ORDER, order(campaign="openssl-2")], [approve(ORDER)], NOW)
    name = next(name for name in shelf.genuine() if name.endswith("openssl-1.json"))
    shelf.forged[name] = write(ORDER).replace(b"3.0.22", b"3.0.11")
    trust = trusting(shelf.url)
    assert trust.refresh(NOW, 0)
    found = trust.read(PATH, NOW)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.ALTERED
    assert isinstance(trust.read("orders/openssl-2.json", NOW), bytes)


def test_a_frozen_repository_is_refused_after_a_day(office: Office, shelf: Shelf, trusting: Trusting) -> None:
    """A11: whoever only repeats yesterday cannot keep a machine from noticing."""
    trust = trusting(shelf.url)
    assert trust.refresh(NOW + 23 * HOUR, 0)
    assert not trust.refresh(NOW + 24 * HOUR, 0)
    assert reasons(trust) == [Reason.EXPIRED]


def test_a_clock_set_back_does_not_bring_old_lists_back(
    office: Office, shelf: Shelf, trusting: Trusting
) -> None:
    """R19: versions only ever rise, whatever the time is."""
    old = office.repository.newest(Role.TIMESTAMP)
    office.sign([], [approve(ORDER)], NOW + HOUR)
    trust = trusting(shelf.url)
    assert trust.refresh(NOW + HOUR, 0)
    shelf.forged["metadata/timestamp.json"] = old
    assert not trust.refresh(NOW - timedelta(days=400), 0)
    assert reasons(trust) == [Reason.ROLLED_BACK]


def test_a_rolled_back_repository_is_refused(office: Office, shelf: Shelf, trusting: Trusting) -> None:
    """R20: everything of yesterday, whole and well signed."""
    yesterday = Shelf(office.repository.directory, shelf.genuine())
    office.sign([], [], NOW + HOUR)
    yesterday.hidden = {name for name in shelf.genuine() if name not in yesterday.forged}
    trust = trusting(shelf.url)
    assert trust.refresh(NOW + HOUR, 0)
    with served(yesterday):
        trust = trusting(yesterday.url)
        assert not trust.refresh(NOW + HOUR, 0)
    assert reasons(trust) == [Reason.ROLLED_BACK]


def test_another_company_is_refused(office: Office, shelf: Shelf, trusting: Trusting, tmp_path: Path) -> None:
    other = Office(tmp_path / "other", NOW)
    with served(Shelf(other.repository.directory)) as elsewhere:
        trust = trusting(elsewhere.url)
        assert not trust.refresh(NOW, 0)
    assert reasons(trust) == [Reason.UNSIGNED]


@contextmanager
def speaking(say: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve what a function says, to one connection after another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                connection, _ = listener.accept()
                with connection:
                    if not stop.is_set():
                        connection.recv(65_536)
                        say(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}/trust"
        finally:
            stop.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while True:
            connection.sendall(b" " * 65_536)
    except OSError:
        return


def dripping(connection: socket.socket) -> None:
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
        for _ in range(200):
            connection.sendall(b" ")
    except OSError:
        return


def silent(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    connection.recv(1)


def hanging_up(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n ")


def redirecting(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")


def nonsense(connection: socket.socket) -> None:
    connection.sendall(b"\x00\xff\r\n\r\n")


SERVERS = [
    pytest.param(endless, Reason.TOO_LONG, id="endless"),
    pytest.param(dripping, Reason.TOO_SLOW, id="a byte at a time"),
    pytest.param(silent, Reason.TOO_SLOW, id="nothing after the head"),
    pytest.param(hanging_up, Reason.MALFORMED, id="hangs up in the middle"),
    pytest.param(redirecting, Reason.MISSING, id="redirects elsewhere"),
    pytest.param(nonsense, Reason.UNREACHABLE, id="does not speak HTTP"),
]


@pytest.mark.parametrize(("say", "reason"), SERVERS)
def test_a_bad_mirror_costs_one_fall_back_to_the_origin_and_is_told(
    office: Office,
    shelf: Shelf,
    trusting: Trusting,
    say: Callable[[socket.socket], None],
    reason: Reason,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R20."""
    minutes = count(0.0, 60.0)
    if say is dripping:
        monkeypatch.setattr(fetcher, "stopwatch", lambda: next(minutes))
    monkeypatch.setattr(fetcher, "_CONNECT_SECONDS", 0.2 if say is silent else 5)
    with speaking(say) as mirror:
        trust = trusting(mirror, shelf.url)
        assert trust.refresh(NOW, office.published)
        assert isinstance(trust.read(PATH, NOW), bytes)
    assert [(each.reason, each.source) for each in trust.refusals] == [(reason, mirror)]


def test_a_stale_mirror_is_passed_over(office: Office, shelf: Shelf, trusting: Trusting) -> None:
    mirror = Shelf(office.repository.directory, shelf.genuine())
    office.sign([order(revision=2)], [approve(ORDER)], NOW + HOUR)
    mirror.hidden |= set(shelf.genuine())
    with served(mirror):
        trust = trusting(mirror.url, shelf.url)
        assert trust.refresh(NOW + HOUR, office.published)
    assert reasons(trust) == [Reason.STALE]
    found = read(trust.read(PATH, NOW + HOUR), OrderDocument)
    assert isinstance(found, OrderDocument)
    assert found.revision == 2


def test_a_mirror_with_a_changed_paper_costs_one_fall_back(
    office: Office, shelf: Shelf, trusting: Trusting
) -> None:
    mirror = Shelf(office.repository.directory)
    mirror.forged = {name: b"{}" for name in shelf.genuine() if name.startswith("targets/")}
    with served(mirror):
        trust = trusting(mirror.url, shelf.url)
        assert trust.refresh(NOW, office.published)
        assert isinstance(trust.read(PATH, NOW), bytes)
        assert reasons(trust) == [Reason.ALTERED]
        assert isinstance(trust.read(APPROVAL, NOW), bytes)
        assert reasons(trust) == [Reason.ALTERED]


def test_a_server_that_claims_more_than_it_has_is_still_read(shelf: Shelf, trusting: Trusting) -> None:
    """The number is a hint, too: it only chooses between mirror and origin."""
    trust = trusting(shelf.url)
    assert trust.refresh(NOW, 2**40)


def test_a_machine_follows_root_through_several_rotations(
    office: Office, shelf: Shelf, trusting: Trusting, tmp_path: Path
) -> None:
    offline = office.folder / "offline"
    for number in range(3):
        held, lost = office.keys(Role.ROOT), min(offline.glob("root-*"))
        folder = Folder(tmp_path / f"rotation{number}")
        folder.pack(office.repository)
        new = make_key(offline / f"root-9{number}.pem", PASSPHRASE)
        rotate(folder, Role.ROOT, held[0].public_key.keyid, new.public_key, NOW)
        folder.sign([*held, new])
        for role, content in folder.contents()[0].items():
            office.repository.put_metadata(role, number + 2, content)
        lost.unlink()
    office.sign([ORDER], [approve(ORDER)], NOW)
    trust = trusting(shelf.url)
    assert trust.refresh(NOW, office.published), trust.refusals
    assert (tmp_path / "machine/root_history/4.root.json").exists()
    assert isinstance(trust.read(PATH, NOW), bytes)


def test_tufs_own_client_reads_our_repository(office: Office, shelf: Shelf, tmp_path: Path) -> None:
    """The oracle: the reference client with its own way of fetching."""
    (tmp_path / "targets").mkdir()
    client = Updater(
        str(tmp_path / "metadata"),
        f"{shelf.url}/metadata/",
        str(tmp_path / "targets"),
        f"{shelf.url}/targets/",
        bootstrap=office.repository.root(1),
    )
    client._trusted_set.reference_time = NOW
    client.refresh()
    target = client.get_targetinfo(PATH)
    assert target is not None
    assert Path(client.download_target(target)).read_bytes() == write(ORDER)
