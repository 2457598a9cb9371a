"""The status page: the same numbers as the commands, hostile names escaped, English and Japanese, no script."""

import html
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from domain.made import DAY, HOUR, START
from forestall.domain.advisory import Catalogue
from forestall.domain.campaign import Step
from forestall.domain.ring import Ring
from forestall.server import operators, rings
from forestall.server.overview import Overview, campaign_row
from forestall.server.triage import triage
from forestall.store.ratings import ThreeEs
from forestall.web.app import make_app
from forestall.web.curve import curve
from forestall.web.pages import _shared
from forestall.web.serve import serving
from forestall.web.texts import LANGUAGES, TEXTS, language_of, texts
from server.company import OPENSSL
from web.conftest import Site, address_of

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[2J"


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its ids, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data


def test_the_page_has_the_numbers_of_the_commands(site: Site):
    machines = [site.company.machine(name=f"host{n}") for n in range(3)]
    name = site.company.campaign()
    site.company.turn()
    site.company.check_in(machines[0], name, "fixed", chosen=True)
    site.company.check_in(machines[1], name, "pending_restart")
    page = Page(site.ask("GET", "/").text)
    said = " ".join(page.said.split())
    row = campaign_row(site.company.database, name, site.company.now, site.company.policy)
    surely, possibly = row.standing.compliance
    assert (row.standing.fixed, row.standing.pending_restart, row.standing.affected) == (1, 1, 1)
    for number, what in (
        (len(triage(site.company.database)), "updates open"),
        (3, "machines"),
        (1, "campaigns running"),
        (row.standing.fixed, "fixed"),
        (row.standing.pending_restart, "waiting for a restart"),
        (row.standing.affected, "affected"),
        (row.standing.unknown, "unknown"),
        (row.standing.exempt, "exempt"),
    ):
        assert f"{number}{what}" in said, what
    assert f"{surely * 100:.1f} – {possibly * 100:.1f} %" in said
    assert "by themselves 1 · late, by themselves 0 · by force 0" in said
    for shown in (name, "host0", OPENSSL):
        assert shown in page.said


def test_hostile_names_are_text_and_nothing_else(site: Site):
    site.company.machine(name=HOSTILE)
    name = site.company.campaign()
    operators.halt_campaign(site.company.database, name, HOSTILE, "ben", START)
    answer = site.ask("GET", "/")
    assert "<script" not in answer.text
    page = Page(answer.text)
    assert page.said.count(HOSTILE) == 2
    assert {tag for tag, _ in page.tags} & {"script", "iframe", "img", "form", "object"} == set()
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []


def test_the_page_may_run_nothing_and_load_nothing_from_elsewhere(site: Site):
    headers = site.ask("GET", "/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert "server" not in headers


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_languages_are_whole(site: Site, language: str):
    site.company.machine()
    name = site.company.campaign(DAY)
    site.company.turn()
    operators.halt_campaign(site.company.database, name, "because", "ben", START)
    page = Page(site.ask("GET", "/", Accept_Language=f"{language}-XX,fr;q=0.3").text)
    assert dict(page.tags[0][1]) == {"lang": language}
    said = " ".join(page.said.split())
    for key in (
        "open_update",
        "proposal",
        "worst_first",
        "level critical",
        "phase voluntary",
        "halted",
        "deadline",
    ):
        assert texts(language)[key] in said, key
    assert "built-in" not in said
    other = "ja" if language == "en" else "en"
    assert page.said != Page(site.ask("GET", f"/?lang={other}", Accept_Language=language).text).said


def test_no_text_is_called_like_something_a_dictionary_can_do():
    """A template would show the method instead: `t.update`."""
    assert [key for key in TEXTS if hasattr({}, key)] == []
    assert [key for key, pair in TEXTS.items() if len(pair) != len(LANGUAGES) or not all(pair)] == []


@pytest.mark.parametrize(
    ("accept", "chosen", "language"),
    [
        ("", None, "en"),
        ("ja,en;q=0.5", None, "ja"),
        ("de, ja;q=0.4", None, "ja"),
        ("en-GB", "ja", "ja"),
        ("ja", "xx", "ja"),
        ("x" * 9_999, "<script>", "en"),
    ],
)
def test_the_language_is_the_readers_choice(accept: str, chosen: str | None, language: str):
    assert language_of(accept, chosen) == language


def test_everything_can_be_reached_and_named_without_a_mouse(site: Site):
    """Links lead to something on the page, tables have headings, wide parts can be scrolled with the keys."""
    site.company.machine()
    site.company.campaign()
    page = Page(site.ask("GET", "/").text)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    assert {attributes.get("aria-labelledby") for tag, attributes in page.tags if tag == "div"} <= ids
    assert all(attributes.get("scope") == "col" for tag, attributes in page.tags if tag == "th")
    assert [tag for tag, _ in page.tags if tag in {"h1", "h2", "h3"}][:2] == ["h1", "h2"]
    assert any(tag == "svg" and attributes.get("aria-label") for tag, attributes in page.tags)
    assert site.ask("GET", "/static/style.css").text.count("prefers-color-scheme: dark") == 1


def test_an_empty_company_is_told_what_to_do(site: Site):
    site.company.publish(Catalogue())
    said = Page(site.ask("GET", "/").text).said
    for key in ("no_campaigns", "no_updates", "no_machines", "no_sources"):
        assert texts("en")[key] in said


def test_a_company_that_has_just_begun_says_so_and_its_page_follows_without_a_script(site: Site):
    view = Overview(START, 0, (), 0, (), (), (), made_up=True, on_its_way_to=START + 4 * DAY)
    views = {"/company": lambda: view, "/": lambda: replace(view, on_its_way_to=None)}
    with serving(make_app(None, views), "127.0.0.1", 0) as url:
        there = replace(site, address=address_of(url))
        young, grown = Page(there.ask("GET", "/company").text), Page(there.ask("GET", "/").text)
    assert f"{START + 4 * DAY:%Y-%m-%d %H:%M}" in young.said
    refreshes = [
        page.tags.count(("meta", {"http-equiv": "refresh", "content": "5"})) for page in (young, grown)
    ]
    assert refreshes == [1, 0]


def test_all_who_look_at_the_same_time_cost_one_gathering():
    made: list[Overview] = []

    def gather() -> Overview:
        made.append(Overview(START, 0, (), 0, (), (), ()))
        return made[-1]

    kept, fresh = _shared(gather, 3600.0), _shared(gather, 0.0)
    assert kept() is kept() is made[0]
    assert fresh() is not fresh()
    assert len(made) == 3


AT = datetime(2026, 3, 2, tzinfo=UTC)


def test_the_curve_goes_down_in_steps_to_now():
    points = [(AT, 1000), (AT + timedelta(days=1), 100), (AT + timedelta(days=2), 0)]
    drawn = curve(points, AT + timedelta(days=8), AT + timedelta(days=4), texts("en"))
    line = re.findall(r'points="([^"]*)"', drawn)[0].split()
    places = [tuple(map(float, point.split(","))) for point in line]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)
    assert html.escape(texts("en")["curve"]) in drawn
    assert "deadline" in drawn


@pytest.mark.parametrize(
    "points",
    [pytest.param([], id="nothing"), pytest.param([(AT, 0)], id="no machine")],
)
def test_there_is_no_curve_of_nobody(points: list[tuple[datetime, int]]):
    assert curve(points, None, AT, texts("en")) == ""


def test_the_curve_of_one_machine_before_anything_happened():
    assert "polyline" in curve([(AT, 1)], None, AT, texts("ja"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_how_a_test_stands(site: Site, language: str):
    """P4.4: the hours since the hand-over; P4.1: what each ring that has it answers, and who has it not yet."""
    company = site.company
    first = company.machine(name="first")
    company.machine(name="second")
    rings.put_into(company.database, Ring.TEAM, rings.Selection((first,)), "aiko", company.now)
    operators.rate_update(
        company.database, "DSA-1-1", ThreeEs(expansion=True), None, "a worm", "aiko", company.now
    )
    started = operators.start_campaign(
        company.installation, OPENSSL, None, "aiko", company.now, testing=False, rings=True
    )
    company.now += 49 * HOUR
    said = " ".join(Page(site.ask("GET", f"/?lang={language}").text).said.split())
    words = texts(language)
    assert f"{words['hours so far'].format(n=49, most=72)}: {words['haste slow']}" in said
    assert f"{words['ring team']}100100" in said.replace(" ", "")
    assert f"forestall rings testers {started.id}" in said
    company.now += 24 * HOUR
    page = site.ask("GET", f"/?lang={language}").text
    assert f'<p class="act">{words["hours so far"].format(n=73, most=72)}: {words["haste late"]}' in page
    operators.move_campaign(company.database, started.id, Step.CLOSE, "aiko", company.now)
    assert words["haste late"] not in site.ask("GET", f"/?lang={language}").text
