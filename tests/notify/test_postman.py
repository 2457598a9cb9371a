"""The loop that hands over mail: by itself, beside the clockwork, and not at all on a restored server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from domain.made import DAY, START, VOLUNTARY
from forestall.domain.events import Event, EventKind
from forestall.server.beat import Beat
from forestall.server.postman import Postman
from forestall.server.watermark import Watermark
from forestall.store import ledger
from notify.company import ASA, BEN, Company
from notify.test_returned import dsn


@pytest.fixture
def watermark(tmp_path: Path) -> Watermark:
    return Watermark(tmp_path / "ledger.jsonl")


@pytest.fixture
def waiting(company: Company) -> Company:
    """Two people are to be told of a campaign."""
    company.change(VOLUNTARY)
    company.now = START + DAY
    company.mail = replace(company.mail, everybody=(ASA, BEN))
    return company


def turn(company: Company, watermark: Watermark) -> None:
    postman = Postman(company.post, watermark)
    postman.turn()
    postman.end()


@contextmanager
def going(postman: Postman) -> Iterator[None]:
    beat = Beat("postman", postman.turn, 0.05)
    beat.start()
    try:
        yield
    finally:
        postman.hurry()
        beat.stop()
        postman.end()


def test_it_hands_over_by_itself_and_stops(waiting: Company, watermark: Watermark):
    both = threading.Event()
    waiting.host.on_message = lambda: len(waiting.host.accepted) == 1 and both.set()
    with going(Postman(waiting.post, watermark)):
        assert both.wait(30)
    assert sorted(waiting.host.recipients()) == [ASA, BEN]


def test_it_goes_on_after_a_turn_without_a_server(waiting: Company, watermark: Watermark):
    waiting.host.down()
    both = threading.Event()
    waiting.host.on_message = lambda: len(waiting.host.accepted) == 1 and both.set()
    turn(waiting, watermark)
    assert waiting.host.accepted == []
    waiting.host.up()
    waiting.now += DAY
    with going(Postman(waiting.post, watermark)):
        assert both.wait(30)


def test_a_restored_server_tells_nobody_anything(waiting: Company, watermark: Watermark):
    """A12: who knows what was told since the backup was made."""
    with waiting.database.begin() as con:
        ledger.append(con, [Event(EventKind.RATED, "kim", "x")] * 3, START)
    watermark.ship(waiting.database)
    ahead = Watermark(watermark.path.with_name("ahead.jsonl"))
    ahead.path.write_bytes(watermark.path.read_bytes().replace(b'"sequence":3', b'"sequence":9'))
    turn(waiting, ahead)
    assert waiting.host.accepted == []
    turn(waiting, watermark)
    assert len(waiting.host.accepted) == 2


def test_it_reads_what_came_back(waiting: Company, watermark: Watermark, tmp_path: Path):
    for name in ("new", "cur"):
        (tmp_path / "box" / name).mkdir(parents=True)
    waiting.mail = replace(waiting.mail, bounces=tmp_path / "box")
    turn(waiting, watermark)
    to, message = waiting.host.accepted[0]
    name = message["Message-ID"].strip("<>").partition("@")[0]
    (tmp_path / "box" / "new" / "1").write_bytes(dsn(name, to=to))
    turn(waiting, watermark)
    assert [file.name for file in (tmp_path / "box" / "cur").iterdir()] == ["1:2,S"]


def test_a_mailbox_that_cannot_be_read_keeps_no_mail_from_going_out(
    waiting: Company, watermark: Watermark, tmp_path: Path
):
    waiting.mail = replace(waiting.mail, bounces=tmp_path / "nothing")
    turn(waiting, watermark)
    assert len(waiting.host.accepted) == 2
