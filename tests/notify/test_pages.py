"""The pages behind mails: whoever opens, scripts or presses them from elsewhere changes nothing (R35)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from markupsafe import escape
from starlette.applications import Starlette

from domain.made import DAY, ENFORCING, MINUTE, START
from forestall.clock import utc_now
from forestall.domain.campaign import Step, take
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.errors import InputError
from forestall.domain.evidence import Status
from forestall.domain.notice import MessageId, Person
from forestall.domain.sighting import Sighting, Source
from forestall.server.claims import own
from forestall.server.finding import take_in
from forestall.server.links import VALID_FOR, Links, open_links
from forestall.server.notice_page import NoticeDesk
from forestall.store import devices
from forestall.web.mail_pages import mail_routes
from forestall.web.mail_texts import TEXTS
from forestall.web.serve import serving
from notify.company import ASA, Company

ELSEWHERE = "10.0.0.9"


@pytest.fixture
def told(company: Company) -> Company:
    """Asa's printer is vulnerable and announced, a week before the deadline; the page's clock is the real one."""
    company.now = utc_now()
    company.change(replace(ENFORCING, distributed_at=company.now - DAY, deadline_at=company.now + 7 * DAY))
    company.own("printer", ASA, addresses=("127.0.0.1", "fe80::1"))
    company.own("camera", ASA, addresses=(ELSEWHERE,))
    for name in ("printer", "camera"):
        company.see(name)
    company.round()
    return company


@pytest.fixture
def client(told: Company) -> Iterator[httpx2.Client]:
    app = Starlette(routes=mail_routes(NoticeDesk(told.database, told.policy), open_links(told.directory)))
    with serving(app, "127.0.0.1", 0) as url, httpx2.Client(base_url=url) as client:
        yield client


def path(company: Company) -> str:
    text = company.host.accepted[0][1].get_body(("plain",)).get_content()
    return next(line for line in text.split() if "/m/" in line).removeprefix("https://patch.corp.example")


def everything(company: Company) -> dict[str, list[str]]:
    """All that the database holds."""
    with company.database.begin() as con:
        names = con.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").scalars()
        return {
            name: sorted(str(tuple(row)) for row in con.exec_driver_sql(f"SELECT * FROM {name}"))  # noqa: S608 - our own
            for name in names
        }


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page_says_what_why_until_when_and_changes_nothing(
    told: Company, client: httpx2.Client, language: str
):
    before = everything(told)
    answer = client.get(path(told), params={"lang": language})
    assert answer.status_code == 200
    assert "openssl 3.0.22-1~deb12u2" in answer.text
    assert f"{told.campaign.deadline_at:%Y-%m-%d %H:%M} UTC" in answer.text
    assert "printer" in answer.text
    assert TEXTS["check"][language == "ja"] in answer.text
    assert "<script" not in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert everything(told) == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_no_other_way_of_opening_it_changes_anything(told: Company, client: httpx2.Client, method: str):
    before = everything(told)
    client.request(method, path(told), params={"machine": "printer"})
    assert everything(told) == before


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"machine": "camera"}, id="a machine of the same person, pressed elsewhere"),
        pytest.param({"machine": "z1"}, id="a machine of somebody else"),
        pytest.param({"machine": "printer' OR 1=1 --"}, id="a machine that is none"),
        pytest.param({"machine": "printer\x00"}, id="a NUL"),
        pytest.param({"machine": "p" * 10_000}, id="a name without end"),
        pytest.param({}, id="no machine"),
    ],
)
def test_a_scanner_that_presses_everything_changes_nothing(
    told: Company, client: httpx2.Client, form: dict[str, str]
):
    before = everything(told)
    assert client.post(path(told), data=form).status_code in {403, 404}
    assert everything(told) == before


def test_only_the_machine_itself_asks_for_its_check_and_gets_it(told: Company, client: httpx2.Client):
    """A13, A2: asked for, looked at in the next pass, and asked for again once a minute at most."""
    answer = client.post(path(told), data={"machine": "printer"}, params={"lang": "en"})
    assert TEXTS["wish taken"][0] in answer.text
    told.now = utc_now()
    told.decide()
    told.act()
    assert told.looked == ["printer"]
    assert TEXTS["wish just_made"][0] in client.post(path(told), data={"machine": "printer"}).text
    assert TEXTS["checking"][0] in client.get(path(told)).text
    told.now = utc_now()
    told.see("printer", Status.FIXED)
    assert TEXTS["checking"][0] not in client.get(path(told)).text
    assert told.record("camera").check_asked_at is None


def test_a_machine_that_no_probe_reads_is_told_how(told: Company, client: httpx2.Client):
    told.note("printer", unread_at=utc_now())
    assert "firewall" in client.get(path(told)).text


def test_an_end_is_told(told: Company, client: httpx2.Client):
    closed = take(told.campaign, Step.CLOSE, told.now)
    assert closed is not None
    told.change(closed)
    assert TEXTS["ended"][0] in client.get(path(told)).text


def test_everybody_finds_what_a_campaign_asks_for(told: Company, client: httpx2.Client):
    answer = client.get(f"/u/{told.campaign.id}")
    assert answer.status_code == 200
    assert "printer" not in answer.text
    assert client.get("/u/nothing").status_code == 404


@pytest.mark.parametrize(
    "hostile", ["<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "{{ 7*7 }}"]
)
def test_a_hostile_name_is_text(told: Company, client: httpx2.Client, hostile: str):
    told.own("printer", ASA, addresses=("127.0.0.1",))
    with told.database.begin() as con:
        con.exec_driver_sql("UPDATE device SET name = %s WHERE id = 'printer'", (hostile,))
    answer = client.get(path(told)).text
    assert "<img" not in answer
    assert "<script" not in answer
    assert str(escape(hostile)) in answer


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "0" * 32, "../../etc/passwd", "a.zz.", "é" * 300, "%00"])
def test_a_link_that_is_none_leads_nowhere(told: Company, client: httpx2.Client, token: str):
    assert client.get(f"/m/{token}").status_code == 404


def test_a_link_with_one_letter_changed_is_none(tmp_path: Path):
    links = open_links(tmp_path)
    token = links.token(MessageId("0" * 32), START)
    assert links.message(token, START) == "0" * 32
    for place in range(len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert links.message(changed, START) is None
    assert Links(b"other" * 8).message(token, START) is None


def test_a_link_ends_by_itself(tmp_path: Path):
    links = open_links(tmp_path)
    token = links.token(MessageId("0" * 32), START)
    assert links.message(token, START + VALID_FOR - MINUTE) is not None
    assert links.message(token, START + VALID_FOR) is None


def test_the_key_is_made_once_and_nobody_else_reads_it(tmp_path: Path):
    assert open_links(tmp_path) == open_links(tmp_path)
    (key,) = tmp_path.iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(b"short")
    with pytest.raises(InputError, match="is no key"):
        open_links(tmp_path)


def test_both_languages_say_the_same():
    for english, japanese in TEXTS.values():
        assert english.count("{") == japanese.count("{")
        assert english
        assert japanese


def test_a_machine_that_is_not_mine_is_nobodys_and_only_with_the_box_ticked(
    told: Company, client: httpx2.Client
):
    """P6.1, R35: who presses every button on the way says nothing; no directory makes the person its owner again."""
    press = {"machine": "printer", "say": "not-mine"}
    before = everything(told)
    assert TEXTS["wish unsure"][0] in client.post(path(told), data=press).text
    assert client.post(path(told), data={**press, "machine": "z1", "sure": "yes"}).status_code == 403
    assert everything(told) == before
    assert TEXTS["not_mine"][0] in client.get(path(told)).text
    assert TEXTS["wish disowned"][0] in client.post(path(told), data={**press, "sure": "yes"}).text
    with told.database.begin() as con:
        found = devices.get(con, DeviceId("printer"))
        other = devices.get(con, DeviceId("camera"))
    assert (found.owner, found.owner_source, found.disowned, other.owner) == ("", None, ASA, ASA)
    assert client.post(path(told), data={**press, "sure": "yes"}).status_code == 403, (
        "it is not theirs any more"
    )
    mac = "52:54:00:00:00:11"
    seen = Sighting(Source.LOGIN, SiteId("tokyo"), utc_now(), hardware=mac, address="10.0.0.77", user="asa")
    take_in(told.database, [seen], "test", utc_now(), {"asa": Person(ASA)})
    with told.database.begin() as con:
        (new,) = devices.at(con, ["10.0.0.77"])
        own(con, replace(new, owner="", disowned=ASA), None, utc_now())
    take_in(told.database, [seen], "test", utc_now(), {"asa": Person(ASA)})
    with told.database.begin() as con:
        assert devices.at(con, ["10.0.0.77"])[0].owner == ""
