"""The agents' interface over a real server on loopback: strangers' bytes, wrong credentials, and the right way."""

import http.client
import json
import socket
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text

from certificates import REQUEST, authority
from domain.made import DAY
from forestall import protocol
from forestall.clock import utc_now
from forestall.domain.device import DeviceId
from forestall.server import operators
from forestall.server.machines import revoke
from forestall.store import devices, inventories
from forestall.trust.device_ca import key_of
from forestall.trust.device_key import new_key, request_for
from web.conftest import Me, Site

PACKAGE = ["libssl3", "3.0.15-1~deb12u1", "amd64", "installed", "openssl", "3.0.15-1~deb12u1"]
STATE = {"campaign": "openssl-1", "revision": 1, "status": "affected"}


def inventory(*packages: Any, release: Any = "bookworm") -> dict[str, Any]:
    return {"release": release, "packages": list(packages)}


def test_enrol_check_in_send_the_inventory_be_ordered(site: Site):
    me = site.enrol()
    answer = site.ask("POST", protocol.CHECK_IN, me.check_in(), me=me)
    assert (answer.status, answer.json["send_inventory"], answer.json["hints"]) == (200, True, [])
    assert site.ask("PUT", protocol.INVENTORY, inventory(PACKAGE), me=me).status == 204
    name = site.company.campaign()
    site.company.turn()
    answer = site.ask("POST", protocol.CHECK_IN, me.check_in(), me=me)
    (hint,) = answer.json["hints"]
    assert (hint["campaign"], set(hint)) == (name, {"campaign", "offered_at", "force_at"})
    state = STATE | {"campaign": name, "detail": "<b>"}
    assert site.ask("POST", protocol.CHECK_IN, me.check_in(states=[state]), me=me).status == 200
    assert site.company.standing(name).affected == 1


def test_a_token_is_good_once(site: Site):
    body = {"token": "guessed", "name": "host", "agent_version": "1", "request": REQUEST}
    answer = site.ask("POST", protocol.ENROL, body)
    assert (answer.status, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json == {
        "title": "The token is not valid", "detail": "Ask for a new one: forestall enroll token", "status": 403,
    }  # fmt: skip


def test_a_request_that_shows_no_key_costs_no_token(site: Site):
    token = operators.make_token(site.company.database, "tokyo", 1, DAY, "aiko", utc_now())
    wish = {"token": token, "name": "host", "agent_version": "1", "request": "let me in"}
    answer = site.ask("POST", protocol.ENROL, wish)
    assert (answer.status, answer.json["title"]) == (400, "Not a request for a certificate")
    assert site.ask("POST", protocol.ENROL, wish | {"request": REQUEST}).status == 200
    assert site.ask("POST", protocol.ENROL, wish | {"request": REQUEST}).status == 403


def test_the_authority_is_told_to_everybody(site: Site):
    """It is no secret: whoever asks holds it against the token."""
    assert site.ask("GET", protocol.AUTHORITY).text == authority().pem


MINE = [(protocol.CHECK_IN, "POST"), (protocol.INVENTORY, "PUT"), (protocol.RENEW, "POST")]


def says(path: str, me: Me) -> object:
    bodies = {protocol.INVENTORY: inventory(PACKAGE), protocol.RENEW: {"request": REQUEST}}
    return bodies.get(path) or me.check_in()


@pytest.mark.parametrize(("path", "method"), MINE)
def test_whoever_has_no_certificate_is_not_heard(site: Site, path: str, method: str):
    """Whatever else he says of himself (R22)."""
    me = site.enrol()
    answer = site.ask(method, path, says(path, me), Authorization=f"Bearer {me.device}:x", X_Device=me.device)
    assert answer.status == 401
    assert answer.json["detail"] == "Enrol first: forestall-agent enrol --server URL --token TOKEN"


def of(site: Site, me: Me, **changed: object) -> Me:
    """The same machine with another certificate of ours."""
    key = new_key()
    asked = key_of(request_for(key))
    assert asked is not None
    return site.holding(key, authority().issue(asked, me.certificate._replace(**changed)))  # type: ignore[arg-type]  # its fields


LONG_AGO = utc_now().replace(microsecond=0) - 200 * DAY
UNHEARD = [
    pytest.param({"device": DeviceId("m-nobody")}, 401, "Who is there?", id="nobody we know"),
    pytest.param({"ends_at": utc_now() - DAY}, 401, "The certificate has ended", id="ended"),
    pytest.param({"begins_at": LONG_AGO, "ends_at": LONG_AGO + DAY}, 401, "too long ago", id="ended long ago"),
    pytest.param({"serial": 5}, 503, "Busy", id="an older one, right after the change"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "method"), MINE)
@pytest.mark.parametrize(("changed", "status", "title"), UNHEARD)
def test_a_certificate_that_does_not_count_is_not_heard(
    site: Site, path: str, method: str, changed: dict[str, Any], status: int, title: str
):
    me = site.enrol()
    late = of(site, me, **{"begins_at": utc_now() - 20 * DAY, **changed})
    answer = site.ask(method, path, says(path, late), me=late)
    if path == protocol.RENEW and title == "The certificate has ended":
        assert answer.status == 200
        return
    assert answer.status == status
    assert title in answer.json["title"]
    with site.company.database.begin() as con:
        assert inventories.get(con, me.device) is None


@pytest.mark.parametrize(("path", "method"), MINE)
def test_who_was_revoked_is_heard_no_more_on_the_same_connection(site: Site, path: str, method: str):
    """At once: it is asked of the store with every word, not when a connection begins."""
    me = site.enrol()
    connection = http.client.HTTPSConnection(*site.agents, timeout=60, context=me.context)
    with closing(connection):
        for status in (200, 403):
            connection.request("POST", protocol.CHECK_IN, json.dumps(me.check_in()).encode())
            answer = connection.getresponse()
            assert (answer.status, answer.read() != b"") == (status, True)
            if status == 200:
                revoke(site.company.installation, me.device, "stolen", "aiko", utc_now())
    answer = site.ask(method, path, says(path, me), me=me)
    assert (answer.status, answer.json["title"]) == (403, "This machine's certificate was revoked")


def test_a_certificate_is_renewed_for_another_key_and_the_old_one_counts_until_the_new_one_speaks(site: Site):
    me, key = site.enrol(), new_key()
    answer = site.ask("POST", protocol.RENEW, {"request": request_for(key)}, me=me)
    renewed = site.holding(key, answer.json["certificate"])
    assert renewed.certificate.serial > me.certificate.serial
    assert (renewed.device, renewed.certificate.ends_at - renewed.certificate.begins_at) == (
        me.device,
        14 * DAY,
    )
    for one, status in ((me, 200), (renewed, 200), (me, 503), (renewed, 200)):
        assert site.ask("POST", protocol.CHECK_IN, one.check_in(), me=one).status == status


def test_an_answer_that_was_lost_costs_nothing(site: Site):
    """The machine asks again with what it has; the certificate that never arrived is nobody's."""
    me, key = site.enrol(), new_key()
    for _ in range(2):
        answer = site.ask("POST", protocol.RENEW, {"request": request_for(key)}, me=me)
    renewed = site.holding(key, answer.json["certificate"])
    assert site.ask("POST", protocol.CHECK_IN, renewed.check_in(), me=renewed).status == 200


def test_a_machine_cannot_speak_for_another(site: Site):
    """R22: a field of the body is never believed."""
    mine, theirs = site.enrol("mine"), site.enrol("theirs")
    answer = site.ask("POST", protocol.CHECK_IN, mine.check_in(device=theirs.device), me=mine)
    assert answer.status == 400
    assert "unknown field `device`" in answer.json["detail"]


HOSTILE = [
    pytest.param(b"", "truncated", id="nothing"),
    pytest.param(b"\xff\xfe", "", id="no text"),
    pytest.param(b"[" * 1_000_000, "", id="endless nesting"),
    pytest.param(b'{"release": "bookworm", "packages": ' + b'{"a":' * 100_000, "", id="nesting in a field"),
    pytest.param(b"null", "Expected `object`, got `null`", id="null"),
    pytest.param(inventory(release=7), "Expected `str`, got `int`", id="a number for a release"),
    pytest.param(inventory("libssl3"), "Expected `array`, got `str`", id="a text for a package"),
    pytest.param(inventory(PACKAGE[:5]), "length", id="a field missing"),
    pytest.param(inventory([*PACKAGE[:5], None]), "Expected `str`, got `null`", id="null for a version"),
    pytest.param(inventory([*PACKAGE[:5], ["1"]]), "Expected `str`, got `array`", id="a list for a version"),
    pytest.param(inventory(["x" * 257, *PACKAGE[1:]]), "length <= 256", id="a name of 257 letters"),
    pytest.param(inventory(["lib\x00ssl", *PACKAGE[1:]]), "matching regex", id="a NUL in a name"),
    pytest.param(inventory([*PACKAGE[:3], "half", *PACKAGE[4:]]), "matching regex", id="a state that does not exist"),
    pytest.param(inventory(*[["a", "", "", "installed", "", ""]] * 50_001), "length <= 50000", id="50,001 packages"),
    pytest.param(inventory(PACKAGE) | {"owner": "root"}, "unknown field `owner`", id="a field too many"),
    pytest.param(b'{"release": "\\ud800", "packages": []}', "", id="half of a surrogate pair"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "says"), HOSTILE)
def test_a_hostile_inventory_is_refused_and_nothing_of_it_is_kept(site: Site, body: object, says: str):
    me = site.enrol()
    answer = site.ask("PUT", protocol.INVENTORY, body, me=me)
    assert (answer.status, answer.json["title"]) == (400, "Not a message of this protocol")
    assert says in answer.json["detail"]
    assert len(answer.json["detail"]) <= 300
    with site.company.database.begin() as con:
        assert inventories.get(con, me.device) is None
    assert site.ask("PUT", protocol.INVENTORY, inventory(PACKAGE), me=me).status == 204


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"sequence": -1}, id="a number below zero"),
        pytest.param({"sequence": 2**63}, id="a number no column holds"),
        pytest.param({"sequence": 1.5}, id="half a number"),
        pytest.param({"inventory_sha256": "0" * 63}, id="a hash too short"),
        pytest.param({"inventory_sha256": "0" * 64 + "\n"}, id="a line behind a hash"),
        pytest.param({"states": [STATE] * 1_001}, id="too many orders"),
        pytest.param({"states": [STATE | {"failures": 2**31}]}, id="more failures than anybody has"),
        pytest.param({"states": [STATE | {"status": "excellent"}]}, id="a status that does not exist"),
        pytest.param({"states": [STATE | {"status": "fixed\n"}]}, id="a line behind a status"),
        pytest.param({"states": [STATE | {"detail": "x" * 2_001}]}, id="a detail too long"),
        pytest.param({"states": [STATE | {"detail": "\x00"}]}, id="a NUL in a detail"),
        pytest.param({"states": [STATE | {"installed_at": "soon"}]}, id="an instant that is none"),
        pytest.param({"boot_id": "\x00"}, id="a NUL in the boot id"),
    ],
)
def test_a_hostile_check_in_is_refused(site: Site, changed: dict[str, Any]):
    me = site.enrol()
    assert site.ask("POST", protocol.CHECK_IN, me.check_in(**changed), me=me).status == 400


@pytest.mark.parametrize(
    "version",
    ["what?", "", " ", "-1", "9" * 256, "١٢٣", "\x1b[31m1", "<script>", "'; DROP TABLE device; --"],
)
def test_an_unreadable_version_is_unknown_for_that_machine_alone(site: Site, version: str):
    """A2: never "not affected"."""
    odd, fine = site.enrol("odd"), site.enrol("fine")
    for me, package in ((odd, [*PACKAGE[:5], version]), (fine, PACKAGE)):
        assert site.ask("PUT", protocol.INVENTORY, inventory(package), me=me).status == 204
    standing = site.company.standing(site.company.campaign())
    assert (standing.affected, standing.unknown, standing.concerned) == (1, 1, 2)


def test_a_body_is_cut_off_at_its_limit_whatever_length_is_claimed(site: Site):
    me = site.enrol()
    too_much = b'{"release": "' + b"x" * protocol.MAX_BODY_BYTES
    answer = site.ask("PUT", protocol.INVENTORY, too_much, me=me)
    assert (answer.status, answer.json["title"]) == (413, "Too long")


def test_a_million_packages_are_refused_before_they_are_all_read(site: Site):
    """Sent in chunks without a length; the server stops reading at its limit."""
    me = site.enrol()
    chunk = json.dumps(["a", "1", "amd64", "installed", "a", "1"]).encode() * 1_000
    with (
        socket.create_connection(site.agents, timeout=60) as raw,
        me.context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        head = f"PUT {protocol.INVENTORY} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        try:
            for _ in range(1_000):
                connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        except OSError:
            pass  # it hung up on us: as good an answer
        else:
            assert b" 413 " in connection.recv(65_536).split(b"\r\n")[0]
    assert site.ask("PUT", protocol.INVENTORY, inventory(PACKAGE), me=me).status == 204


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\x1b[2J\x1b]0;owned\x07", "\u202egpj.exe", "a\r\nb", "x" * 256, ""]
)
def test_a_hostile_host_name_is_only_a_name(site: Site, name: str):
    me = site.enrol(name)
    with site.company.database.begin() as con:
        device = devices.get(con, me.device)
    assert device is not None
    assert device.name == name


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", protocol.CHECK_IN, 405, id="the wrong method"),
        pytest.param("POST", "/agent/v2/check-in", 404, id="a version that does not exist"),
        pytest.param("GET", "/static/../agent_api.py", 404, id="a path out of the static files"),
        pytest.param("GET", "/static/%2e%2e/app.py", 404, id="a hidden path out of the static files"),
    ],
)
def test_what_is_not_there_is_a_problem_document(site: Site, method: str, path: str, status: int):
    answer = site.ask(method, path)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["status"] == status


def test_a_database_that_is_away_is_told_as_such(site: Site):
    """503 and when to come again; no stack trace."""
    me = site.enrol()
    with site.company.database.begin() as con:
        con.execute(text("ALTER TABLE device RENAME TO away"))
    answer = site.ask("POST", protocol.CHECK_IN, me.check_in(), me=me)
    assert (answer.status, answer.json["title"], answer.headers["retry-after"]) == (503, "Not now", "60")
    assert "Traceback" not in answer.text
