"""Self-registration end to end: said at the machine, asked by mail, confirmed by a button, owned (P6.1, R35)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest
from starlette.applications import Starlette

from domain.made import DAY
from forestall.clock import utc_now
from forestall.domain.device import Device, DeviceId, OwnerSource, SiteId
from forestall.domain.events import EventKind
from forestall.domain.notice import Person
from forestall.domain.ownership import TRIED_AGAIN_AFTER, VALID_FOR, Became
from forestall.domain.sighting import Sighting, Source
from forestall.notify.smtp import Courier
from forestall.server.claims import ClaimDesk, ClaimPost
from forestall.server.finding import take_in
from forestall.server.links import open_links
from forestall.server.postman import Postman
from forestall.server.room import RoomDesk
from forestall.server.watermark import Watermark
from forestall.store import devices, ledger, notices
from forestall.web.claim_pages import claim_routes
from forestall.web.claim_texts import TEXTS, claim_texts
from forestall.web.room import make_room
from forestall.web.serve import serving
from forestall.web.texts import LANGUAGES
from notify.company import ASA, BEN, Company
from notify.test_pages import everything

HOSTILE = "<script>alert(1)</script>\r\nBcc: all@corp.example\u202e"
PRINTER = DeviceId("printer")


@pytest.fixture
def desk(company: Company) -> ClaimDesk:
    """A printer that nobody owns is where the tests are."""
    company.now = utc_now()
    here = Device(PRINTER, HOSTILE, SiteId("tokyo"), managed=False, addresses=("127.0.0.1",))
    with company.database.begin() as con:
        devices.save(con, [here])
    return ClaimDesk(company.database, company.policy, open_links(company.directory), ("corp.example",))


@pytest.fixture
def client(desk: ClaimDesk) -> Iterator[httpx2.Client]:
    app = Starlette(routes=claim_routes(desk))
    with serving(app, "127.0.0.1", 0) as url, httpx2.Client(base_url=url) as client:
        yield client


def post_of(company: Company) -> ClaimPost:
    links = open_links(company.directory)
    return ClaimPost(company.database, company.mail, links, company.policy, lambda: company.now)


def deliver(company: Company) -> int:
    with Courier(company.host.server, connections=1) as courier:
        return post_of(company).hand_over(courier)


def claim_at_others(company: Company, desk: ClaimDesk, count: int) -> list[str]:
    """Let as many other machines name a person each, p0 first."""
    for n in range(count):
        other = Device(DeviceId(f"m{n}"), "m", SiteId("tokyo"), managed=False, addresses=(f"10.0.1.{n}",))
        with company.database.begin() as con:
            devices.save(con, [other])
        at = company.now + timedelta(seconds=n)
        assert desk.claim(f"10.0.1.{n}", f"p{n}@corp.example", "en", at) is Became.ASKED
    return [f"p{n}@corp.example" for n in range(count)]


def link(company: Company) -> str:
    text = company.host.accepted[-1][1].get_body(("plain",)).get_content()
    return next(word for word in text.split() if "/o/" in word).removeprefix("https://patch.corp.example")


def printer(company: Company) -> Device:
    with company.database.begin() as con:
        found = devices.get(con, PRINTER)
    assert found is not None
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_sits_at_a_machine_says_whose_it_is_and_the_person_confirms(
    company: Company, client: httpx2.Client, language: str
):
    t = claim_texts(language)
    page = client.get("/mine", params={"lang": language})
    assert t["mine_why"] in page.text
    assert "<script" not in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    said = client.post("/mine", data={"address": f" {ASA.upper()} "}, params={"lang": language})
    assert (said.status_code, t["became asked"] in said.text) == (200, True)
    assert deliver(company) == 1
    assert deliver(company) == 0, "asked once"
    ((recipient, message),) = company.host.accepted
    assert recipient == ASA
    assert message["Bcc"] is None
    assert "\n" not in message["Subject"]
    before = everything(company)
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        opened = client.request(method, link(company), params={"lang": language})
    assert t["confirm"] in client.get(link(company), params={"lang": language}).text
    assert opened.status_code == 405
    assert everything(company) == before, "links change nothing by being opened"
    assert t["became confirmed"] in client.post(link(company), params={"lang": language}).text
    owned = printer(company)
    assert (owned.owner, owned.owner_source, owned.language) == (ASA, OwnerSource.SELF, language)
    with company.database.begin() as con:
        (entry,) = [e for e in ledger.about(con, subject=PRINTER) if e.event.kind is EventKind.OWNED]
    assert (entry.event.actor, entry.event.body["source"]) == (ASA, "self")
    assert t["mine_owned"] in client.get("/mine", params={"lang": language}).text


@pytest.mark.parametrize(
    "address",
    ["", "asa", "asa@elsewhere.example", "asa@corp.example.evil.example", "asa@corp.example\r\nBcc: x@y", "x" * 3_000,
     "a@corp.example,b@corp.example", "<asa@corp.example>", "asa@sub.corp.example"],
)  # fmt: skip
def test_only_people_of_the_company_are_asked(company: Company, client: httpx2.Client, address: str):
    before = everything(company)
    assert client.post("/mine", data={"address": address}).status_code == 403
    assert everything(company) == before
    assert deliver(company) == 0


def test_a_form_on_a_foreign_page_is_refused(company: Company, client: httpx2.Client):
    before = everything(company)
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/mine", data={"address": ASA}, headers=headers).status_code == 403
        assert client.post("/o/x", headers=headers).status_code == 403
    assert everything(company) == before


def test_limits_hold_for_a_machine_and_for_a_person_also_for_many_at_once(company: Company, desk: ClaimDesk):
    """P6.1: no machine makes a stranger's mailbox full."""
    now = utc_now()
    with ThreadPoolExecutor(8) as pool:
        became = list(pool.map(lambda n: desk.claim("127.0.0.1", f"p{n}@corp.example", "en", now), range(12)))
    assert became.count(Became.ASKED) == company.policy.claims_a_day
    assert became.count(Became.TOO_MANY) == 12 - company.policy.claims_a_day
    for n in range(5):
        other = Device(DeviceId(f"m{n}"), "m", SiteId("tokyo"), managed=False, addresses=(f"10.0.0.{n}",))
        with company.database.begin() as con:
            devices.save(con, [other])
    became = [desk.claim(f"10.0.0.{n}", ASA, "en", now) for n in range(5)]
    assert became.count(Became.ASKED) == company.policy.claims_a_day
    assert desk.claim("10.0.0.4", ASA, "en", now + DAY) is Became.ASKED
    assert desk.claim("10.9.9.9", ASA, "en", now) is Became.UNKNOWN


def test_the_directory_counts_more_and_a_directory_that_says_nothing_takes_nothing_away(
    company: Company, desk: ClaimDesk
):
    """P6.1: whoever logs on there by the directory owns it; what a person confirmed stays until then."""
    now = utc_now()
    desk.claim("127.0.0.1", ASA, "en", now)
    deliver(company)
    claimed = desk.confirm(link(company).removeprefix("/o/"), now)
    assert claimed is not None
    assert claimed.became is Became.CONFIRMED
    assert desk.confirm(link(company).removeprefix("/o/"), now) == claimed, "twice is once"
    with company.database.begin() as con:
        devices.save(con, [replace(printer(company), owner="", owner_source=None)])
    assert printer(company).owner == ASA
    mac = "52:54:00:00:00:11"
    seen = Sighting(Source.LOGIN, SiteId("tokyo"), now, hardware=mac, address="10.0.0.77", user="ben")
    take_in(company.database, [seen], "test", now, {"ben": Person(BEN)})
    with company.database.begin() as con:
        (found,) = devices.at(con, ["10.0.0.77"])
    assert (found.owner, found.owner_source) == (BEN, OwnerSource.DIRECTORY)


def test_an_old_or_forged_link_makes_nobody_an_owner(company: Company, desk: ClaimDesk):
    now = utc_now()
    desk.claim("127.0.0.1", ASA, "en", now)
    deliver(company)
    token = link(company).removeprefix("/o/")
    forged = ("x" if token[0] != "x" else "y") + token[1:]
    assert desk.confirm(forged, now) is None
    late = desk.confirm(token, now + VALID_FOR)
    assert late is not None
    assert late.became is Became.ENDED
    assert printer(company).owner == ""


def test_a_mail_server_that_is_down_is_asked_again(company: Company, desk: ClaimDesk):
    desk.claim("127.0.0.1", ASA, "en", utc_now())
    company.host.down()
    assert deliver(company) == 0
    company.host.up()
    assert deliver(company) == 0, "not at once"
    company.now += TRIED_AGAIN_AFTER
    assert deliver(company) == 1


def test_a_mail_that_may_have_arrived_is_not_sent_again(company: Company, desk: ClaimDesk):
    """The server took it whole and its answer was lost."""
    desk.claim("127.0.0.1", ASA, "en", company.now)
    company.host.after_data[ASA] = "hang up"
    assert deliver(company) == 1
    company.now += TRIED_AGAIN_AFTER
    assert deliver(company) == 0
    assert company.host.recipients() == [ASA]


def test_mails_that_no_server_takes_keep_no_other_waiting(company: Company, desk: ClaimDesk):
    people = claim_at_others(company, desk, 22)
    company.host.answers.update(dict.fromkeys(people[:20], "450 4.2.0 later"))
    assert [deliver(company) for _ in range(3)] == [0, 2, 0]
    assert company.host.recipients() == people[20:]
    assert len(company.host.senders) == 22, "each is tried once"
    company.host.answers.clear()
    company.now += TRIED_AGAIN_AFTER
    assert deliver(company) == 20


def test_while_another_process_hands_over_mail_this_one_does_not(company: Company, desk: ClaimDesk):
    desk.claim("127.0.0.1", ASA, "en", company.now)
    with company.database.begin() as other:
        assert notices.alone(other)
        assert deliver(company) == 0
    assert company.host.accepted == []
    assert deliver(company) == 1


def test_what_was_said_is_in_the_ledger_before_anybody_is_asked(company: Company, desk: ClaimDesk):
    desk.claim("127.0.0.1", ASA, "en", company.now)
    with company.database.begin() as con:
        (entry,) = ledger.about(con, subject=PRINTER)
    assert (entry.event.kind, entry.event.actor, entry.event.paragraph) == (
        EventKind.CLAIMED, "127.0.0.1", "P6.1",
    )  # fmt: skip
    assert entry.event.body["address"] == ASA
    deliver(company)
    ((_, message),) = company.host.accepted
    assert entry.event.body["claim"] in message["Message-ID"]


def test_final_warnings_go_first_and_who_is_named_is_tried_where_none_is_taken(
    company: Company, desk: ClaimDesk
):
    warned = company.own("pc-1", BEN)
    company.change(replace(company.campaign, deadline_at=company.now - DAY))
    company.note(warned, announced_at=company.now - 7 * DAY)
    company.see(warned)
    company.decide()
    desk.claim("127.0.0.1", ASA, "en", company.now)
    postman = Postman(company.post, Watermark(company.directory / "ledger.jsonl"), post_of(company))
    company.host.down()
    postman.turn()
    with company.database.begin() as con:
        assert con.exec_driver_sql("SELECT tried_at FROM claim").scalar_one() == company.now
    company.host.up()
    company.now += TRIED_AGAIN_AFTER
    postman.turn()
    assert company.host.recipients() == [BEN, ASA]
    postman.end()


def test_the_fix_it_room_asks_whose_it_is(company: Company, desk: ClaimDesk):
    """A13: a removed machine reaches nothing else."""
    room = make_room(RoomDesk(company.database, company.policy), claim_routes(desk))
    with serving(room, "127.0.0.1", 0) as url, httpx2.Client(base_url=url) as client:
        assert TEXTS["mine_why"][0] in client.get("/mine").text
        assert client.post("/mine", data={"address": ASA}).status_code == 200


def test_no_text_is_called_like_something_a_dictionary_can_do():
    assert [key for key in TEXTS if hasattr({}, key)] == []
    assert [key for key, pair in TEXTS.items() if len(pair) != len(LANGUAGES) or not all(pair)] == []
