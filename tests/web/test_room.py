"""The fix-it room and the door, as machines and RADIUS servers reach them (A13, P8.5)."""

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from domain.made import ENFORCING, START
from forestall.clock import utc_now
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.evidence import Status
from forestall.domain.policy import MINUTE, Policy
from forestall.domain.record import Record
from forestall.server.doorkeeper import Doorkeeper
from forestall.server.enforcement import STOPPED, Enforcement
from forestall.server.network_file import AdmissionTable
from forestall.server.room import RoomDesk
from forestall.store import campaigns, devices, records
from forestall.store.database import Database
from forestall.web.admission_api import PATH, Door, admission_routes
from forestall.web.room import make_room
from forestall.web.serve import serving

HERE, OTHER = DeviceId("m-1"), DeviceId("m-2")
MAC, CALLING = "52:54:00:00:00:11", "52-54-00-00-00-11"
Answer = tuple[int, dict[str, str], str]
Ask = Callable[..., Answer]


def off(record: Record) -> Record:
    now = utc_now()
    return record._replace(
        quarantined_at=now - 5 * MINUTE,
        looked_at=now - MINUTE,
        probe_status=Status.AFFECTED,
        probe_at=now - MINUTE,
    )


@pytest.fixture
def network(database: Database) -> Database:
    with database.begin() as con:
        here = Device(HERE, "<script>x</script>", SiteId("tokyo"), False, addresses=(MAC, "127.0.0.1"))
        devices.save(con, [here, Device(OTHER, "other", SiteId("tokyo"), False, addresses=("10.9.9.9",))])
        campaigns.save(con, ENFORCING)
        records.enlist(con, ENFORCING.id, {HERE: Status.AFFECTED, OTHER: Status.AFFECTED}, START)
        records.revise(con, ENFORCING.id, {HERE: off, OTHER: off})
    return database


def asker(url: str) -> Ask:
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")

    def ask(method: str, path: str, body: object = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()

    return ask


@pytest.fixture
def room(network: Database) -> Iterator[Ask]:
    with serving(make_room(RoomDesk(network, Policy(), patches="http://10.0.0.1/")), "127.0.0.1", 0) as url:
        yield asker(url)


def asked_at(database: Database, device: DeviceId = HERE) -> object:
    with database.begin() as con:
        return records.some(con, ENFORCING.id, [device])[0].check_asked_at


def test_the_page_says_why_and_where_the_patch_is_in_both_languages(room: Ask):
    status, headers, page = room("GET", "/")
    assert status == 200
    for word in ("openssl", "3.0.22-1~deb12u2", "held (P6.4)", "http://10.0.0.1/", "Check me now"):
        assert word in page
    assert "今すぐ検査する" in room("GET", "/?lang=ja")[2]
    assert "今すぐ検査する" in room("GET", "/", Accept_Language="ja,en;q=0.5")[2]
    assert "<script" not in page.lower()
    assert "&lt;script&gt;" in page, "the machine's own name is escaped"
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/check", "/?lang=ja", "/generate_204", "/anything/else"])
def test_looking_changes_nothing(path: str, room: Ask, network: Database):
    assert room("GET", path)[0] in {200, 302, 405}
    room("HEAD", path)
    assert asked_at(network) is None


def test_the_button_has_this_machine_checked_and_no_other(room: Ask, network: Database):
    status, headers, _ = room("POST", "/check")
    assert (status, headers["location"]) == (303, "/")
    first = asked_at(network)
    assert first is not None
    assert asked_at(network, OTHER) is None
    assert 'http-equiv="refresh"' in room("GET", "/")[2]
    room("POST", "/check")
    assert asked_at(network) == first, "pressing again within a minute is the same wish"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "https://evil.example"}, id="a form on another page"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, id="a browser that says so"),
    ],
)
def test_a_foreign_form_changes_nothing(headers: dict[str, str], room: Ask, network: Database):
    assert room("POST", "/check", **headers)[0] == 403
    assert asked_at(network) is None


def test_in_the_room_only_a_removed_machine_has_a_button(network: Database):
    with network.begin() as con:
        records.revise(con, ENFORCING.id, {HERE: lambda record: record._replace(quarantined_at=None)})
    assert not RoomDesk(network, Policy()).check("127.0.0.1", utc_now())
    assert asked_at(network) is None


def test_an_address_of_nobody_or_of_two_is_shown_nothing(network: Database):
    desk = RoomDesk(network, Policy())
    with network.begin() as con:
        devices.save(con, [Device(OTHER, "other", SiteId("tokyo"), False, addresses=("127.0.0.1",))])
    assert desk.view("127.0.0.1", utc_now()) is None
    assert not desk.check("10.1.1.1", utc_now())
    assert desk.view("not an address", utc_now()) is None


PASSWORD = "Basic " + base64.b64encode(b"radius:word").decode()


def at_the_door(
    database: Database,
    directory: Path,
    table: AdmissionTable,
    station: str = CALLING,
    password: str = PASSWORD,
    *,
    simulate: bool = False,
) -> Answer:
    door = Door(Doorkeeper(database, Policy(), Enforcement((), directory)), table, "word", simulate)
    with serving(Starlette(routes=admission_routes(door)), "127.0.0.1", 0) as url:
        body = {"Calling-Station-Id": {"type": "string", "value": [station]}, "User-Name": {"value": ["x"]}}
        return asker(url)("POST", PATH, body, Authorization=password)


@pytest.mark.parametrize(
    ("station", "vlan", "quarantine", "simulate", "status", "answer"),
    [
        pytest.param(CALLING, "", "99", False, 200, '"99"', id="a removed machine gets the quarantine VLAN"),
        pytest.param("5254.0000.0011", "", "99", False, 200, '"99"', id="however its address is written"),
        pytest.param(CALLING, "", "", False, 403, "still-off", id="without such a VLAN it is rejected"),
        pytest.param(CALLING, "10", "99", True, 200, '"10"', id="in simulate mode it comes in"),
        pytest.param("52-54-00-00-00-77", "10", "99", False, 200, '"10"', id="nobody we know comes in"),
        pytest.param("52-54-00-00-00-77", "", "99", False, 204, "", id="wherever the RADIUS server puts it"),
        pytest.param("nonsense", "", "99", False, 204, "", id="what is no address is nobody we know"),
    ],
)
def test_the_door_answers(
    station: str,
    vlan: str,
    quarantine: str,
    simulate: bool,
    status: int,
    answer: str,
    network: Database,
    tmp_path: Path,
):
    table = AdmissionTable(vlan=vlan, quarantine_vlan=quarantine)
    found, _, body = at_the_door(network, tmp_path, table, station, simulate=simulate)
    assert found == status
    assert answer in body


def test_while_the_glass_is_broken_everybody_comes_in(network: Database, tmp_path: Path):
    (tmp_path / STOPPED).touch()
    assert at_the_door(network, tmp_path, AdmissionTable(quarantine_vlan="99"))[0] == 204


@pytest.mark.parametrize(
    "given", ["", "Basic x", "Basic " + base64.b64encode(b"radius:wrong").decode(), "Bearer word"]
)
def test_nobody_is_answered_without_the_password(given: str, network: Database, tmp_path: Path):
    assert at_the_door(network, tmp_path, AdmissionTable(), password=given)[0] == 401
