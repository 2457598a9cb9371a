"""The three faces of the one question: a notification on a real D-Bus, a page over real HTTP, a terminal."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from agent.company import START, Company, order
from agent.desktop import KINDS, Desktop, running
from agent.rig import Rig
from forestall.agent import person_texts as words
from forestall.agent.conversation import (
    Answer,
    Broke,
    Installed,
    QuestionView,
    Verdict,
    View,
    Volunteering,
    Word,
)
from forestall.agent.faces import terminal
from forestall.agent.faces.notification import Bus
from forestall.agent.faces.page import HEADERS, Desk, address, draw, read_form, serve_page
from forestall.agent.helper import Helper
from forestall.agent.listener import Listener
from forestall.agent.loop import install_chosen, run_pass
from forestall.agent.memory import Agent
from forestall.agent.person_texts import choice_words, question_words
from forestall.agent.service import serve
from forestall.domain.asking import Choice, Question, Topic, Unheard
from forestall.domain.errors import InputError
from forestall.domain.order import CampaignId, Hold

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LATEST = NOON + timedelta(days=7)
VIEW = QuestionView(
    id="0123456789abcdef",
    topic=Topic.INSTALL,
    title="Security update: <b>openssl</b>",
    sentences=["A worm & more can use it.", "It takes a few minutes."],
    choices={Choice.NOW: "Install now", Choice.AT: "Pick a time", Choice.LATER: "Later"},
    proposals=[NOON + timedelta(hours=7), NOON + timedelta(hours=20)],
    latest_at=LATEST,
    counting_to=None,
    picked_at=None,
)


LOOKED = View(
    VIEW,
    speak=True,
    installed=[Installed("c-7", "<i>bash</i>", NOON), Installed("c-6", "zlib", NOON - timedelta(days=1))],
    mine=True,
)


# -- words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tongue", ["en", "ja"])
@pytest.mark.parametrize("topic", Topic)
@pytest.mark.parametrize("counting", [False, True])
@pytest.mark.parametrize("units", [(), ("web.service",)])
def test_a_question_says_what_why_how_long_and_until_when(
    tongue: str, topic: Topic, counting: bool, units: tuple[str, ...]
) -> None:
    """The rules of taste: the name, the reason, the length, the moment; in both languages, no sentence too long."""
    about = [order(source="openssl", texts={"en": "A worm can use it.", "ja": "ワームが悪用できます。"})]
    units = units if topic is Topic.RESTART else ()
    asked = Question(topic, (CampaignId("c-1"),), LATEST, LATEST if counting else None, units=units)
    title, sentences = question_words(asked, about, NOON, tongue)
    everything = title + " ".join(sentences)
    assert words.moment(LATEST, tongue) in everything
    assert {"en": "7 d", "ja": "7日"}[tongue] in everything
    assert ("openssl" in everything) or (topic is Topic.RESTART and (counting or units))
    assert all(unit in everything for unit in units)
    assert len(title) <= 60
    assert all(len(sentence) <= 160 for sentence in sentences)
    if topic is Topic.INSTALL:
        assert about[0].texts[tongue] in sentences
    assert "{" not in everything


def test_every_word_is_there_in_both_languages() -> None:
    tables = (words.ANSWERED, words.UNHEARD, words.PAGE)
    pairs = [pair for table in tables for pair in table.values()]
    assert all(english and japanese and english != japanese for english, japanese in pairs)
    assert all(not re.search("[ぁ-ん一-龥]", english) for english, _ in pairs)
    assert all(re.search("[ぁ-んァ-ヶ一-龥]", japanese) for _, japanese in pairs)
    assert {*Unheard} <= set(words.UNHEARD)
    assert {*Choice} == set(words.ANSWERED)
    asked = [Question(topic, (), LATEST, units=units) for topic in Topic for units in ((), ("web.service",))]
    assert len({choice_words(each, Choice.NOW, "ja") for each in asked}) == 3
    assert all(choice_words(each, choice, "ja") for each in asked for choice in Choice)


def test_moments_are_said_as_people_say_them(monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2026, 12, 2, 9, 5).astimezone()
    assert words.moment(at, "en") == "Wed 2 Dec 09:05"
    assert words.moment(at, "ja") == "12月2日(水) 09:05"


def test_many_updates_are_one_question_with_the_first_of_their_reasons() -> None:
    about = [order(source=f"p{n}", texts={"en": f"reason {n}\x1b[31m"}) for n in range(9)]
    asked = Question(Topic.INSTALL, tuple(CampaignId(f"c-{n}") for n in range(9)), LATEST)
    title, sentences = question_words(asked, about, NOON, "en")
    assert title == "9 security updates"
    assert sentences[:4] == ["reason 0 [31m", "reason 1 [31m", "reason 2 [31m", "And 6 more."]


# -- a terminal -----------------------------------------------------------------------------------------------

TYPED = [
    pytest.param("n", Answer(VIEW.id, Choice.NOW), id="now"),
    pytest.param("l", Answer(VIEW.id, Choice.LATER), id="later"),
    pytest.param("2", Answer(VIEW.id, Choice.AT, VIEW.proposals[1]), id="the number of a proposal"),
    pytest.param(
        "2026-12-01 08:30",
        Answer(VIEW.id, Choice.AT, datetime(2026, 12, 1, 8, 30).astimezone()),
        id="a moment in the machine's zone",
    ),
]


@pytest.mark.parametrize(("typed", "meant"), TYPED)
def test_what_is_typed_is_understood(typed: str, meant: Answer) -> None:
    assert terminal.answer(VIEW, typed) == meant


@pytest.mark.parametrize(
    "typed", ["", "0", "3", "y", "²", "9" * 5000, "2026-13-01 08:30", "tomorrow", "0001-01-01 00:00"]
)
def test_what_cannot_be_understood_answers_nothing(typed: str) -> None:
    with pytest.raises((InputError, ValueError)):
        terminal.answer(VIEW, typed)


def test_an_empty_line_and_the_end_of_the_input_are_no_answer() -> None:
    """No default: whoever presses Enter without reading has chosen nothing."""

    def ended(_: str) -> str:
        raise EOFError

    lines = iter(["what?", "  ", "n"])
    assert terminal.ask(VIEW, "en", lambda _: next(lines)) is None
    assert next(lines) == "n"
    assert terminal.ask(VIEW, "en", ended) is None


AGENT = Path(sys.executable).parent / "forestall-agent"


def ask(agent: Agent, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [AGENT, "ask", "--state", str(agent.directory), *options]
    everything = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
    return subprocess.run(
        command, env=everything, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_the_command_shows_the_question_and_takes_an_answer_for_the_next_pass(listening: Agent) -> None:
    shown = ask(listening, LC_ALL="ja_JP.UTF-8")
    assert "セキュリティ更新：tool" in shown.stdout
    assert "今すぐインストール" in shown.stdout
    assert json.loads(ask(listening, "--json").stdout)["question"]["topic"] == "install"
    late = ask(listening, "--at", "2031-01-01 08:00")
    assert (late.returncode, late.stdout) == (1, "That is after the deadline.\n")
    taken = ask(listening, "--now")
    assert (taken.returncode, taken.stdout) == (0, "It begins in a moment.\n")
    assert run_pass(listening).held["c-1"].attempts == 1


WRONG = [
    pytest.param(("--now", "--later"), "not several", id="two answers at once"),
    pytest.param(("--at", "soon"), "write YYYY-MM-DD HH:MM", id="a moment that is none"),
    pytest.param(("--at", "2026-02-30 08:00"), "there is no", id="a day that is none"),
]


@pytest.mark.parametrize(("options", "why"), WRONG)
def test_what_goes_wrong_is_said_in_a_sentence(listening: Agent, options: tuple[str, ...], why: str) -> None:
    done = ask(listening, *options)
    assert done.returncode == 1
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_service_the_command_says_so(agent: Agent) -> None:
    done = ask(agent)
    assert done.returncode == 1
    assert "does not answer at" in done.stderr


def test_the_running_service_installs_when_the_person_says_now(agent: Agent, rig: Rig) -> None:
    """P5.2, end to end: a command, a socket, a service that wakes up, apt."""
    rig.offer("tool", "1.1")
    stop, complaints = threading.Event(), []
    thread = threading.Thread(target=serve, args=(agent, stop, complaints.append))
    thread.start()
    try:
        knock(agent.directory / "person.sock")
        assert ask(agent, "--now").returncode == 0
        while rig.status_of("tool") != "ii  1.1":
            assert thread.is_alive()
    finally:
        stop.set()
        thread.join()
    assert complaints == []


# -- a page ---------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What matters of a page for the rules of taste."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def told() -> list[Answer | Word]:
    return []


@pytest.fixture
def page(told: list[Answer | Word]) -> Iterator[str]:
    """A page of VIEW; its address."""

    def tell(answer: Answer | Word) -> Verdict:
        told.append(answer)
        return Verdict(True)

    desk = Desk(lambda: LOOKED, tell, "en")
    with serve_page(desk) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield address(server, desk)
        server.shutdown()
        thread.join()


def fetch(url: str, method: str = "GET", body: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
    parts = urlsplit(url)
    line = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        line.request(method, parts.path, body, sent)
        answer = line.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        line.close()


def test_the_page_has_no_default_no_focus_and_no_script(page: str) -> None:
    status, headers, text = fetch(page)
    tags = Page(text).tags
    assert status == 200
    assert HEADERS.items() <= headers.items()
    assert ("html", {"lang": "en"}) in tags
    assert not [tag for tag, attributes in tags if tag == "script" or "autofocus" in attributes]
    # Enter in a text field would press a form's first button: there is no such field, and one button a form.
    assert not [
        attributes for tag, attributes in tags if tag == "input" and attributes.get("type") != "hidden"
    ]
    assert [tag for tag, _ in tags].count("form") == [tag for tag, _ in tags].count("button") == 5
    labels = {attributes.get("for") for tag, attributes in tags if tag == "label"}
    assert labels == {attributes["id"] for tag, attributes in tags if tag in {"select", "textarea"}}
    assert "&lt;b&gt;openssl&lt;/b&gt;" in text
    assert "A worm &amp; more" in text
    assert fetch(page + "page.css")[1]["Content-Type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in fetch(page + "page.css")[2]


def test_the_page_hands_on_what_was_chosen(page: str, told: list[Answer]) -> None:
    form = {"question": VIEW.id, "choice": "at", "at": VIEW.proposals[0].isoformat()}
    status, _, text = fetch(page + "answer", "POST", urlencode(form))
    assert status == 200
    assert told == [Answer(VIEW.id, Choice.AT, VIEW.proposals[0])]
    assert "Noted:" in text
    fetch(page + "answer", "POST", urlencode({"question": VIEW.id, "choice": "later"}))
    assert told[1:] == [Answer(VIEW.id, Choice.LATER)]


WORDS = [
    pytest.param({"campaign": "c-7"}, Broke("c-7"), id="one click"),
    pytest.param(
        {"campaign": "c-7", "what": "印刷\r\nできない"}, Broke("c-7", "印刷\r\nできない"), id="own words"
    ),
    pytest.param({"campaign": "c-7", "what": "字" * 800}, Broke("c-7", "字" * 500), id="too many of them"),
    pytest.param({"joins": "yes"}, Volunteering(True), id="joining the testers"),
    pytest.param({"joins": "no"}, Volunteering(False), id="leaving them"),
]


@pytest.mark.parametrize(("form", "meant"), WORDS)
def test_the_page_hands_on_what_is_said_unasked(
    page: str, told: list[Answer | Word], form: dict[str, str], meant: Word
) -> None:
    """P4.1, P4.2: without root, without a terminal."""
    status, _, text = fetch(page + "answer", "POST", urlencode(form))
    assert (status, told) == (200, [meant])
    assert "Noted" in text
    assert "&lt;i&gt;bash&lt;/i&gt;" in text


@pytest.mark.parametrize("tongue", ["en", "ja"])
def test_who_may_say_nothing_is_offered_no_form(tongue: str) -> None:
    looked = View(None, speak=False, installed=LOOKED.installed)
    assert "<form" not in draw(Desk(lambda: looked, lambda _: Verdict(True), tongue))
    volunteers = draw(
        Desk(lambda: View(None, speak=False, volunteers=True, mine=True), lambda _: Verdict(True), tongue)
    )
    assert words.said(words.PAGE["leave"], tongue) in volunteers
    assert 'name="campaign"' not in volunteers


FOREIGN = [
    pytest.param({"path": "/"}, id="without the token"),
    pytest.param({"path": "/x/"}, id="with another token"),
    pytest.param({"Host": "evil.example"}, id="by a name that was bound to loopback"),
    pytest.param({"Origin": "https://evil.example"}, id="from another page's form"),
    pytest.param({"Origin": "null"}, id="from a page without an origin"),
    pytest.param({"Sec_Fetch_Site": "cross-site"}, id="from another site, as the browser says"),
    pytest.param({"Content_Length": "1000000"}, id="with a long form"),
]


@pytest.mark.parametrize("changed", FOREIGN)
def test_who_comes_from_elsewhere_gets_nothing(
    page: str, told: list[Answer], changed: dict[str, str]
) -> None:
    """A13's kin: a page that anybody may reach by its port answers to one person alone."""
    parts = urlsplit(page)
    url = f"http://{parts.netloc}{changed.get('path', parts.path)}answer"
    headers = {key: value for key, value in changed.items() if key != "path"}
    status, _, text = fetch(url, "POST", urlencode({"question": VIEW.id, "choice": "now"}), **headers)
    assert (status, text, told) == (404, "", [])


ODD_FORMS = [
    "",
    "choice=now",
    "choice=at&question=0",
    "choice=at&at=x&question=0",
    "choice=never&question=0",
    "joins=perhaps",
    "campaign=",
    "what=x",
    "&" * 99,
]


@pytest.mark.parametrize("form", ODD_FORMS)
def test_odd_forms_are_nothing(form: str) -> None:
    assert read_form(form) is None


# -- a notification -------------------------------------------------------------------------------------------


@pytest.fixture(params=KINDS)
def desktop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desktop]:
    desktop = Desktop()
    with running(desktop, request.param, monkeypatch):
        yield desktop


@pytest.fixture
def bus(desktop: Desktop) -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


def test_a_notification_has_the_choices_and_no_default(desktop: Desktop, bus: Bus) -> None:
    number = bus.draw(VIEW, "en")
    _, replaces, _, title, body, actions, hints, expires = desktop.shown[number]
    assert (replaces, title, expires) == (0, VIEW.title, -1)
    assert body == "A worm &amp; more can use it.\nIt takes a few minutes."
    assert actions == ["now", "Install now", "at", "Pick a time", "later", "Later"]
    assert "default" not in actions
    assert hints["urgency"] == ("y", 1)


def test_a_countdown_stays_until_somebody_touched_it(desktop: Desktop, bus: Bus) -> None:
    view = QuestionView(**{f: getattr(VIEW, f) for f in VIEW.__struct_fields__} | {"counting_to": LATEST})
    number = bus.draw(view, "en")
    assert desktop.shown[number][6]["urgency"] == ("y", 2)
    assert desktop.shown[number][7] == 0


def test_a_desktop_without_buttons_says_where_to_answer(desktop: Desktop, bus: Bus) -> None:
    desktop.capabilities = ["body"]
    number = bus.draw(VIEW, "en")
    assert desktop.shown[number][5] == []
    assert desktop.shown[number][4].endswith("forestall-agent ask")
    assert "A worm & more" in desktop.shown[number][4]


def test_pressed_buttons_are_heard_and_odd_ones_are_not(desktop: Desktop, bus: Bus) -> None:
    for action in ("default", "rm -rf", "later"):
        desktop.press(7, action)
    heard: list[tuple[int, str]] = []
    while not heard:
        heard += bus.chosen(5)
    assert heard == [(7, Choice.LATER)]


def test_what_came_is_said_in_passing_with_a_button_for_who_it_broke_something(
    desktop: Desktop, bus: Bus
) -> None:
    """P4.2."""
    number = bus.installed("openssl", "en")
    _, _, _, title, _, actions, hints, expires = desktop.shown[number]
    assert (title, actions, expires) == ("Installed: openssl", ["broke", "It broke something"], -1)
    assert hints["urgency"] == ("y", 0)
    desktop.press(number, "broke")
    heard: list[tuple[int, str]] = []
    while not heard:
        heard += bus.chosen(5)
    assert heard == [(number, "broke")]


def test_what_keeps_the_screen_awake_is_a_presentation(desktop: Desktop, bus: Bus) -> None:
    assert bus.holds() == frozenset()
    desktop.awake = True
    assert bus.holds() == {Hold.PRESENTATION}


# -- the helper, from the order to the answer -----------------------------------------------------------------


@pytest.fixture
def agent(rig: Rig, company: Company) -> Agent:
    """An agent that holds an order, at noon."""
    rig.offer("tool", "1.0")
    rig.have("tool")
    company.enrol(rig.directory)
    company.clock.now = START.astimezone().replace(hour=12)
    company.orders = [order(force_at=company.clock() + timedelta(hours=12))]
    agent = Agent(rig.directory, rig.debian, clock=company.clock)
    run_pass(agent)
    return agent


@pytest.fixture
def listening(agent: Agent) -> Iterator[Agent]:
    """The same with a listener on a real socket."""
    stop, complaints = threading.Event(), []
    thread = threading.Thread(target=Listener(agent, lambda: None).serve, args=(stop, complaints.append))
    thread.start()
    knock(agent.directory / "person.sock")
    yield agent
    stop.set()
    thread.join()
    assert complaints == []


def knock(path: Path) -> None:
    """Wait until somebody listens."""
    while True:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
                line.connect(str(path))
                return
        except OSError:
            continue


@pytest.fixture
def helper(listening: Agent, tmp_path: Path) -> Helper:
    return Helper(listening.directory, tmp_path, "en", print, listening.clock() - timedelta(hours=1))


def test_the_helper_shows_the_question_once_and_hands_on_the_answer(
    desktop: Desktop, listening: Agent, helper: Helper
) -> None:
    """P5.2, end to end: order, socket, D-Bus, button, socket, pass."""
    helper.round()
    helper.round()
    assert [shown[3] for shown in desktop.shown.values()] == ["Security update: tool"]
    helper.chosen(1, Choice.LATER)
    assert desktop.shown[2][3] == "You are asked again tomorrow at the earliest."
    run_pass(listening)
    helper.close()


def test_what_was_installed_in_this_session_is_mentioned_once(
    desktop: Desktop, listening: Agent, helper: Helper, company: Company, rig: Rig
) -> None:
    """P4.2: and what came before the session began is not."""
    rig.offer("tool", "1.1")
    install_chosen(listening, None)
    for _ in range(2):
        helper.round()
    assert [shown[3] for shown in desktop.shown.values()] == ["Installed: tool"]
    helper.here_since = company.clock() + timedelta(hours=1)
    helper._mentioned.clear()
    helper.round()
    assert len(desktop.shown) == 1
    helper.close()


def test_a_question_that_is_gone_is_taken_off_the_screen(
    desktop: Desktop, listening: Agent, helper: Helper, company: Company
) -> None:
    helper.round()
    company.orders = []
    run_pass(listening, ask=True)
    helper.round()
    assert desktop.shown == {}
    helper.chosen(1, Choice.NOW)
    helper.close()


def test_a_talk_is_not_interrupted(desktop: Desktop, listening: Agent, helper: Helper) -> None:
    desktop.awake = True
    helper.round()
    assert desktop.shown == {}
    desktop.awake = False
    helper.round()
    assert len(desktop.shown) == 1
    helper.close()


def test_without_a_desktop_a_terminal_is_left(
    listening: Agent, helper: Helper, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    helper.round()
    helper.round()
    assert "no session bus" in capsys.readouterr().out
