"""The page of disagreements: both words of each machine, numbers that lead to lists, hostile text as text (A18)."""

import re

import pytest

from domain.made import HOUR, START
from forestall.domain.device import DeviceId
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.server.approvals import approve
from forestall.server.disagreements import Side, Terms, ask_belief, disagreements
from forestall.store import evidence
from forestall.store.evidence import Observation
from forestall.web import disagree_page
from forestall.web.app import make_app
from forestall.web.disagree_page import disagree_routes
from forestall.web.disagree_texts import TEXTS, disagree_texts
from forestall.web.serve import serving
from forestall.web.texts import LANGUAGES
from server.company import Company
from web.conftest import Site, address_of
from web.test_pages import HOSTILE, Page


@pytest.fixture
def queue(site: Site):
    """The site with the page; what it lists is of the company."""
    company = site.company

    def gather(campaign: str):
        return disagreements(company.database, company.now, company.policy, campaign)

    with serving(make_app(None, {}, disagree_routes(gather)), "127.0.0.1", 0) as url:
        site.address = address_of(url)
        yield site


def disagreeing(
    company: Company, count: int = 1, proof: str = "ssh-banner at 10.0.0.1: an old answer"
) -> list[DeviceId]:
    machines = [company.machine(name=HOSTILE) for _ in range(count)]
    name = company.campaign()
    for witness, status in ((Witness.AGENT, Status.FIXED), (Witness.PROBE, Status.AFFECTED)):
        company.now += HOUR
        said = [Observation(each, Evidence(witness, status, company.now, proof)) for each in machines]
        with company.database.begin() as con:
            evidence.take(con, name, said, company.now)
    return machines


def test_it_is_shown_on_the_server_itself_only(queue: Site):
    """Who is vulnerable is not for everybody who reaches our pages; what stands before them says who asks."""
    disagreeing(queue.company)
    refused = queue.ask("GET", "/disagree", X_Forwarded_For="10.0.0.9")
    assert (refused.status, "forestall disagree" in refused.text, HOSTILE in refused.text) == (
        403,
        True,
        False,
    )


def test_each_machine_is_there_with_both_words_and_what_can_be_done(queue: Site):
    (machine,) = disagreeing(queue.company)
    page = Page(queue.ask("GET", "/disagree").text)
    said = " ".join(page.said.split())
    assert "1undecided 0one side is believed 0for too long" in said
    for part in (
        "agentfixed",
        "probeaffected",
        "ssh-banner at 10.0.0.1: an old answer",
        "version: exact to the revision",
    ):
        assert part in said, part
    for command in ("look", "believe", "help-desk"):
        assert f"forestall disagree {command} {machine} openssl-1" in said


def test_hostile_names_and_proofs_are_text_and_the_page_runs_and_changes_nothing(queue: Site):
    disagreeing(queue.company, proof=HOSTILE)
    answer = queue.ask("GET", "/disagree")
    page = Page(answer.text)
    assert "<script" not in answer.text
    assert page.said.count(HOSTILE) >= 2
    assert {tag for tag, _ in page.tags} & {"script", "iframe", "img", "form", "object", "button"} == set()
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert queue.ask("POST", "/disagree").status == 405


def test_every_number_leads_to_its_list(queue: Site):
    first, _ = disagreeing(queue.company, 2)
    made, now = queue.company.installation, START + 2 * HOUR
    asked = ask_belief(made, first, "openssl-1", Terms(Side.AGENT, HOUR, HOSTILE), "aiko", now)
    approve(made, asked.number, "ben", now)
    page = Page(queue.ask("GET", "/disagree?lang=en").text)
    numbers = re.findall(r"(\d+)(undecided|one side is believed|for too long)", " ".join(page.said.split()))
    links = [a["href"] or "" for tag, a in page.tags if tag == "a" and "list=" in (a["href"] or "")]
    assert [int(number) for number, _ in numbers] == [1, 1, 0]
    for link, (number, _) in zip(links, numbers, strict=False):
        listed = Page(queue.ask("GET", "/disagree" + link).text)
        assert [tag for tag, _ in listed.tags].count("article") == int(number), link
    assert HOSTILE in Page(queue.ask("GET", "/disagree?list=decided").text).said
    assert queue.ask("GET", "/disagree?campaign=nothing").status == 404


def test_many_come_in_pages(queue: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(disagree_page, "_A_PAGE", 2)
    disagreeing(queue.company, 5)
    for asked, shown in (("0", 2), ("1", 2), ("2", 1), ("99", 1), ("-1", 2), ("x" * 99, 2), ("9" * 99, 2)):
        page = Page(queue.ask("GET", f"/disagree?page={asked}").text)
        assert [tag for tag, _ in page.tags].count("article") == shown, asked


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_languages_are_whole_and_everything_is_named(queue: Site, language: str):
    disagreeing(queue.company)
    page = Page(queue.ask("GET", "/disagree", Accept_Language=language).text)
    assert dict(page.tags[0][1]) == {"lang": language}
    said = " ".join(page.said.split())
    for key in ("queue_title", "queue_why", "what_to_do", "do_look", "witness probe", "proof"):
        assert disagree_texts(language)[key] in said, key
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= ids
    assert all(attributes.get("scope") == "col" for tag, attributes in page.tags if tag == "th")


def test_no_text_is_called_like_something_a_dictionary_can_do():
    assert [key for key in TEXTS if hasattr({}, key)] == []
    assert [key for key, pair in TEXTS.items() if len(pair) != len(LANGUAGES) or not all(pair)] == []


def test_the_status_page_counts_them_and_leads_there(site: Site):
    disagreeing(site.company)
    page = Page(site.ask("GET", "/").text)
    assert "1agent and probe disagree" in " ".join(page.said.split())
    assert "/disagree?lang=en" in [a.get("href") for tag, a in page.tags if tag == "a"]
