"""Wake-up streams over a real server: who may sleep on one, who is woken, and what it costs the others."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from forestall import protocol
from forestall.clock import utc_now
from forestall.server import machines
from forestall.server.waking import Waker
from forestall.store import wakes
from server.company import report
from web.conftest import Me, Site


@contextmanager
def sleeping(site: Site, me: Me) -> Iterator[http.client.HTTPResponse]:
    """A machine's stream, once it stands."""
    connection = http.client.HTTPSConnection(*site.agents, timeout=60, context=me.context)
    try:
        connection.request("GET", protocol.WAKE)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-type")) == (200, "text/event-stream")
        assert said(answer) == b":\n\n"
        yield answer
    finally:
        connection.close()


def said(answer: http.client.HTTPResponse) -> bytes:
    return answer.readline() + answer.readline()


def test_a_machine_is_woken_with_a_word_that_has_no_authority(site: Site) -> None:
    me, other = site.enrol("me"), site.enrol("other")
    with sleeping(site, me) as mine, sleeping(site, other) as theirs:
        assert sorted(site.streams.sleeping()) == sorted([me.device, other.device])
        site.streams.wake([me.device])
        assert said(mine) == protocol.LOOK_NOW
        site.streams.wake([other.device, me.device])
        assert (said(theirs), said(mine)) == (protocol.LOOK_NOW, protocol.LOOK_NOW)


def test_a_machine_has_one_stream_the_newest(site: Site) -> None:
    me = site.enrol()
    with sleeping(site, me) as old, sleeping(site, me) as new:
        assert old.read() == b""
        site.streams.wake([me.device])
        assert said(new) == protocol.LOOK_NOW


def test_a_machine_that_went_is_asleep_no_more_and_the_others_hear_what_is_said_to_all(site: Site) -> None:
    me, other = site.enrol("me"), site.enrol("other")
    with sleeping(site, other) as theirs:
        with sleeping(site, me):
            pass
        site.streams.wake([me.device, other.device])
        assert said(theirs) == protocol.LOOK_NOW


def test_a_server_that_stops_ends_its_streams_and_takes_no_more(site: Site) -> None:
    me = site.enrol()
    with sleeping(site, me) as mine:
        site.streams.close()
        assert mine.read() == b""
    assert site.ask("GET", protocol.WAKE, me=me).status == 503


def test_there_is_room_for_so_many_and_the_next_is_asked_to_come_later(site: Site) -> None:
    me, other = site.enrol("me"), site.enrol("other")
    site.streams.most = 1
    with sleeping(site, me):
        refused = site.ask("GET", protocol.WAKE, me=other)
    assert (refused.status, refused.headers["retry-after"]) == (503, "3600")


@pytest.mark.parametrize("revoked", [False, True], ids=["without a certificate", "with one that was revoked"])
def test_whom_we_do_not_hear_gets_no_stream(site: Site, revoked: bool) -> None:
    """R22."""
    me = site.enrol() if revoked else None
    if me is not None:
        machines.revoke(site.company.installation, me.device, "stolen", "aiko", utc_now())
    assert site.ask("GET", protocol.WAKE, me=me).status == (403 if revoked else 401)
    assert site.streams.sleeping() == []


def test_a_campaign_wakes_its_machines_and_nobody_else(site: Site) -> None:
    """A7, P8.2: whatever process of the installation calls."""
    me, other = site.enrol("me"), site.enrol("other")
    site.company.desk.take_inventory(me.device, report(), utc_now())
    campaign = site.company.campaign()
    calling = wakes.listening(site.company.database)
    with sleeping(site, me) as mine, sleeping(site, other) as theirs, calling as calls:
        waker = Waker(site.company.database, site.streams)
        waker.start()
        assert waker.listens.wait(60)
        with site.company.database.begin() as con:
            wakes.call(con, [campaign])
        assert calls(60.0) == {campaign}
        assert said(mine) == protocol.LOOK_NOW
        waker.stop()
        site.streams.wake([other.device])
        assert said(theirs) == protocol.LOOK_NOW
