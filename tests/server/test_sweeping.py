"""Several sweeps a day, one at a time whatever the number of processes (P6.2)."""

import socket
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from domain.made import MINUTE, POLICY, START
from forestall.domain.device import SiteId
from forestall.domain.errors import InputError
from forestall.domain.notice import Person
from forestall.domain.scope import Area, Scope
from forestall.probes.sweep import HERE, Presence
from forestall.server import sweeping
from forestall.server.finding import machines
from forestall.server.sweeping import Sweeper, sweep_scope
from forestall.store.database import Database
from forestall.store.embedded import Embedded

SCOPE = Scope((Area(SiteId("here"), (ip_network("127.5.0.0/29"),)),))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Embedded(tmp_path / "database") as embedded, Database(embedded.url) as database:
        database.migrate()
        yield database


def test_a_sweep_is_due_again_after_its_period_for_all_processes(database: Database):
    now = [START]

    def clock() -> datetime:
        return now[0]

    one, other = (Sweeper(database, SCOPE, POLICY, clock) for _ in range(2))
    first = one.turn()
    assert first is not None
    assert set(first.counts) <= HERE
    assert (sum(first.counts.values()), first.new) == (6, 6)
    assert one.turn() is None
    assert other.turn() is None
    now[0] += POLICY.sweep_every - MINUTE
    assert other.turn() is None
    now[0] += MINUTE
    again = other.turn()
    assert again is not None
    assert (again.machines, again.new) == (6, 0)


def test_a_second_port_is_tried_where_the_first_got_no_answer(database: Database, monkeypatch):
    asked: list[tuple[int, int]] = []
    real = sweeping.sweep

    def noted(addresses, port, scope):
        listed = list(addresses)
        asked.append((port, len(listed)))
        return real(listed, port, scope)

    monkeypatch.setattr(sweeping, "sweep", noted)
    with socket.socket() as quiet, socket.socket() as first, socket.socket() as second:
        quiet.bind(("127.5.0.3", 0))
        quiet.listen(0)
        for knock in (first, second):
            knock.setblocking(False)
            knock.connect_ex(quiet.getsockname())
        port = quiet.getsockname()[1]
        done = sweep_scope(database, SCOPE, (port, port + 1), "me", START)
    assert asked == [(port, 6), (port + 1, 1)]
    assert done.counts == {Presence.CLOSED: 6}
    assert {machine.addresses for machine in machines(database)} == {(f"127.5.0.{n}",) for n in range(1, 7)}


def test_a_directory_that_cannot_be_read_keeps_no_sweep_from_its_work(database: Database):
    def unreadable() -> dict[str, Person]:
        raise InputError("people.csv: cannot be read")

    swept = Sweeper(database, SCOPE, POLICY, lambda: START, unreadable).turn()
    assert swept is not None
    assert swept.new == 6
