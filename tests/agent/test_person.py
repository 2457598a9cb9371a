"""The person at the machine: picks a moment, is held to the deadline, is restarted once; real dpkg, a turned clock."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest

from agent.company import START, Company, order
from agent.rig import Rig
from forestall.agent import journal, question, state
from forestall.agent.conversation import Answer, Broke, Look, Shown, Verdict, View, Volunteering, Word, tell
from forestall.agent.inbox import ANSWER, WORD, Inbox, Kept
from forestall.agent.listener import Listener
from forestall.agent.loop import install_chosen, run_pass
from forestall.agent.memory import Agent
from forestall.agent.person import WORDLESS
from forestall.agent.state import Held
from forestall.domain.asking import Choice, Topic
from forestall.domain.order import Hold, Restart

ME = 1000
OTHER, NOBODY = [user for user in (1001, 65534, 1002) if user != os.geteuid()][:2]
"""Neither of the machine's seat nor the user whose agent this is."""
LONG = {"force_at": START + timedelta(hours=12)}


@pytest.fixture
def agent(rig: Rig, company: Company) -> Agent:
    """An enrolled agent on a machine that has tool 1.0 where the archive has 1.1; restarting it leaves a mark."""
    rig.offer("tool", "1.0")
    rig.have("tool")
    rig.offer("tool", "1.1")
    company.enrol(rig.directory)
    agent = Agent(rig.directory, rig.debian, clock=company.clock)
    agent.restart = ("/usr/bin/touch", str(rig.root / "restarted"))
    return agent


@pytest.fixture
def listener(agent: Agent) -> Listener:
    return Listener(agent, lambda: ME)


def held(agent: Agent) -> Held:
    return state.load(agent.directory)[0].held["c-1"]


def events(agent: Agent) -> list[str]:
    return [entry.event for entry in journal.tail(agent.directory, 100)]


def say(listener: Listener, message: object, user: int = ME) -> View | Verdict:
    return listener.answer(msgspec.json.encode(message), user)


def asked(listener: Listener, user: int = ME, **more: object) -> View:
    view = say(listener, Look("en", START - timedelta(hours=1), **more), user)
    assert isinstance(view, View)
    return view


def answer(listener: Listener, choice: Choice, at: datetime | None = None, user: int = ME) -> Verdict:
    found = asked(listener).question
    verdict = say(listener, Answer(found.id if found else "0" * 16, choice, at), user)
    assert isinstance(verdict, Verdict)
    return verdict


def test_the_person_picks_a_moment_and_it_is_kept_across_restarts(
    agent: Agent, listener: Listener, rig: Rig, company: Company
) -> None:
    """P5.2: nothing before it, installed at it, reported as chosen."""
    company.orders = [order(**LONG)]
    run_pass(agent)
    assert answer(listener, Choice.AT, START + timedelta(hours=5)).taken
    run_pass(agent)
    assert held(agent).until == START + timedelta(hours=5)
    assert company.reports[-1].states[0].picked_at == START + timedelta(hours=5)
    for _ in range(59):
        company.clock.advance(minutes=5)
        run_pass(replace(agent))
    assert rig.status_of("tool") == "ii  1.0"
    company.clock.advance(minutes=5)
    run_pass(replace(agent))
    assert rig.status_of("tool") == "ii  1.1"
    report = company.reports[-1].states[0]
    assert (report.status, report.chosen, report.forced, report.picked_at) == ("fixed", True, False, None)
    assert "the person answered about the install" in events(agent)
    assert events(agent)[-3:] == [
        "the moment that the person picked",
        "installed as chosen",
        "nothing is left to do",
    ]


def test_now_is_at_the_next_pass_whatever_holds(
    agent: Agent, listener: Listener, rig: Rig, company: Company
) -> None:
    """P5.2: who says now knows best whether it is a good moment."""
    company.orders = [order(**LONG)]
    run_pass(agent)
    agent.holds = lambda: frozenset({Hold.BATTERY})
    assert answer(listener, Choice.NOW).taken
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.1"
    assert company.reports[-1].states[0].chosen


def test_a_moment_after_the_deadline_cannot_be_picked(
    agent: Agent, listener: Listener, company: Company
) -> None:
    company.orders = [order(**LONG)]
    run_pass(agent)
    assert answer(listener, Choice.AT, START + timedelta(hours=13)) == Verdict(False, "too-late")
    assert not (agent.directory / ANSWER).exists()
    assert events(agent)[-1] == "answer refused"


def test_an_imminent_threat_overtakes_a_picked_moment(
    agent: Agent, listener: Listener, rig: Rig, company: Company
) -> None:
    """P8.1: the deadline that was moved forward binds, not the moment that was picked before."""
    company.orders = [order(**LONG)]
    run_pass(agent)
    answer(listener, Choice.AT, START + timedelta(hours=11))
    run_pass(agent)
    company.orders = [order(revision=2, force_at=START + timedelta(hours=5))]
    company.clock.advance(hours=4)
    run_pass(agent)
    for _ in range(12):
        company.clock.advance(minutes=5)
        run_pass(agent)
    assert rig.status_of("tool") == "ii  1.1"
    assert company.reports[-1].states[0].forced


def test_a_deadline_that_moved_into_the_past_is_counted_down_first(
    agent: Agent, rig: Rig, company: Company
) -> None:
    """A5: never a surprise, for those who sat there all the time either."""
    company.orders = [order(**LONG)]
    run_pass(agent)
    for _ in range(50):
        company.clock.advance(minutes=5)
        run_pass(agent)
    company.orders = [order(revision=2, force_at=START + timedelta(hours=4))]
    run_pass(agent, ask=True)
    assert (held(agent).rule, rig.status_of("tool")) == ("back-too-late", "ii  1.0")
    for _ in range(6):
        company.clock.advance(minutes=5)
        run_pass(agent)
    assert rig.status_of("tool") == "ii  1.1"


def test_what_holds_is_recorded_reported_and_over_at_the_deadline(
    agent: Agent, listener: Listener, rig: Rig, company: Company
) -> None:
    """P5.2, P5.4."""
    company.orders = [order()]
    run_pass(agent)
    answer(listener, Choice.AT, START + timedelta(hours=1))
    agent.holds = lambda: frozenset({Hold.PRESENTATION, Hold.FULL_SCREEN})
    for _ in range(23):
        company.clock.advance(minutes=5)
        run_pass(agent)
    assert rig.status_of("tool") == "ii  1.0"
    assert held(agent).rule == "in-use"
    assert company.reports[-1].states[0].held_by == [Hold.FULL_SCREEN, Hold.PRESENTATION]
    assert "the picked moment is a bad one: later, at the deadline at last" in events(agent)
    company.clock.advance(minutes=5)
    run_pass(agent)
    assert rig.status_of("tool") == "ii  1.1"
    assert company.reports[-1].states[0].held_by == []


def test_a_moment_that_was_slept_through_is_asked_for_anew(
    agent: Agent, listener: Listener, rig: Rig, company: Company
) -> None:
    company.orders = [order(**LONG)]
    run_pass(agent)
    answer(listener, Choice.AT, START + timedelta(hours=2))
    run_pass(agent)
    company.clock.advance(hours=3)
    run_pass(agent)
    assert (rig.status_of("tool"), held(agent).picked_at) == ("ii  1.0", None)
    assert "the picked moment was slept through" in events(agent)
    assert asked(listener).question is not None


def test_an_answer_outlives_a_power_cut_at_any_point(agent: Agent, company: Company) -> None:
    """Kept before it is confirmed, in the state before it is forgotten; taken twice is taken once."""
    company.orders = [order(**LONG)]
    run_pass(agent)
    kept = Kept(Topic.INSTALL, ["c-1", "gone"], Choice.AT, START + timedelta(hours=5), ME)
    for _ in range(2):
        Inbox(agent.directory).keep_answer(kept)
        run_pass(agent)
        assert held(agent).picked_at == START + timedelta(hours=5)
    (agent.directory / ANSWER).write_bytes(b"{")
    run_pass(agent)
    assert held(agent).picked_at == START + timedelta(hours=5)


# -- the one restart ------------------------------------------------------------------------------------------


@pytest.fixture
def pending(agent: Agent, rig: Rig, company: Company) -> Agent:
    """Two orders, installed by force at their deadline, that the machine itself must be restarted for."""
    rig.offer("kit", "1.0")
    rig.have("kit=1.0")
    rig.offer("kit", "1.1")
    company.orders = [
        order(restart=Restart.DEADLINE),
        order(campaign="c-2", source="kit", restart=Restart.DEADLINE),
    ]
    run_pass(agent)
    for _ in range(23):
        company.clock.advance(minutes=5)
        run_pass(agent)
    (rig.root / "run").mkdir()
    (rig.root / "run/reboot-required").touch()
    (rig.root / "run/reboot-required.pkgs").write_text("tool\nkit\n")
    company.clock.advance(minutes=5)
    run_pass(agent)
    statuses = {each.status for each in state.load(agent.directory)[0].held.values()}
    assert statuses == {"pending_restart"}
    return agent


def wait(agent: Agent, company: Company, minutes: int) -> None:
    for _ in range(minutes // 5):
        company.clock.advance(minutes=5)
        run_pass(agent)


def test_one_restart_for_all_after_a_countdown_and_never_again(
    pending: Agent, listener: Listener, rig: Rig, company: Company
) -> None:
    """A6."""
    counting = asked(listener)
    assert counting.question is not None
    assert counting.speak
    assert counting.question.topic is Topic.RESTART
    assert list(counting.question.choices) == [Choice.NOW]
    wait(pending, company, 25)
    assert not (rig.root / "restarted").exists()
    wait(pending, company, 5)
    assert (rig.root / "restarted").exists()
    assert events(pending).count("restart asked for") == 1
    assert state.load(pending.directory)[0].person.restarted_for == ["c-1 1.1", "c-2 1.1"]
    (rig.root / "restarted").unlink()
    wait(pending, company, 60)
    assert not (rig.root / "restarted").exists()
    assert state.load(pending.directory)[0].person.restart_rule == "restarting"
    after_boot(pending)
    wait(pending, company, 60)
    assert not (rig.root / "restarted").exists()
    assert state.load(pending.directory)[0].person.restart_rule == "restarted-in-vain"
    assert company.reports[-1].states[0].detail.startswith("restarted in vain: ")


def test_a_restart_that_helped_is_over(pending: Agent, rig: Rig, company: Company) -> None:
    wait(pending, company, 30)
    after_boot(pending)
    (rig.root / "run/reboot-required").unlink()
    wait(pending, company, 5)
    assert {each.status for each in company.reports[-1].states} == {"fixed"}
    assert state.load(pending.directory)[0].person.restart_latest_at is None


def test_the_person_picks_the_moment_of_the_restart_and_may_say_now(
    pending: Agent, listener: Listener, rig: Rig, company: Company
) -> None:
    assert answer(listener, Choice.NOW).taken
    run_pass(pending)
    assert (rig.root / "restarted").exists()
    assert "the person answered about the restart" in events(pending)


def test_a_recall_right_before_it_is_heard(pending: Agent, rig: Rig, company: Company) -> None:
    """A7: nobody restarts into a patch that was withdrawn."""
    company.orders = [each for each in company.orders if each.campaign == "c-9"]
    wait(pending, company, 25)
    company.clock.advance(minutes=5)
    run_pass(pending)
    assert not (rig.root / "restarted").exists()


def test_where_people_restart_the_agent_never_does(
    agent: Agent, listener: Listener, rig: Rig, company: Company
) -> None:
    """A6: the signed order says who."""
    (rig.root / "run").mkdir()
    (rig.root / "run/reboot-required").touch()
    (rig.root / "run/reboot-required.pkgs").write_text("tool\n")
    company.orders = [order()]
    run_pass(agent)
    wait(agent, company, 12 * 60)
    assert held(agent).status == "pending_restart"
    assert not (rig.root / "restarted").exists()
    assert asked(listener).question is None


def test_a_restart_that_fails_is_told_and_not_tried_again(pending: Agent, company: Company) -> None:
    pending.restart = ("/bin/false",)
    wait(pending, company, 60)
    assert events(pending).count("restart failed") == 1
    assert state.load(pending.directory)[0].person.restart_rule == "restarted-in-vain"


def after_boot(agent: Agent) -> None:
    """As if the machine had started anew."""
    remembered, _ = state.load(agent.directory)
    remembered.person.restarted_boot = "another"
    state.save(agent.directory, remembered)


# -- who speaks, and when -------------------------------------------------------------------------------------


def test_only_who_works_at_the_machine_or_root_may_answer_and_anybody_may_look(
    agent: Agent, listener: Listener, company: Company
) -> None:
    company.orders = [order(**LONG)]
    run_pass(agent)
    assert asked(listener, user=OTHER).question is not None
    assert not asked(listener, user=OTHER).speak
    assert answer(listener, Choice.NOW, user=OTHER) == Verdict(False, "not-yours")
    assert answer(listener, Choice.LATER, user=NOBODY) == Verdict(False, "not-yours")
    assert answer(listener, Choice.LATER, user=0).taken


def test_the_person_is_spoken_to_once_a_day(agent: Agent, listener: Listener, company: Company) -> None:
    company.clock.now = START.astimezone().replace(hour=12)

    def renewed() -> None:
        expires_at = company.clock() + timedelta(hours=24)
        company.orders = [order(force_at=START + timedelta(days=8), expires_at=expires_at)]
        run_pass(agent, ask=True)

    renewed()
    first = asked(listener)
    assert first.question is not None
    assert first.speak
    assert say(listener, Shown(first.question.id)) == Verdict(True)
    assert not asked(Listener(agent, lambda: ME)).speak
    company.clock.advance(hours=23)
    renewed()
    assert not asked(listener).speak
    company.clock.advance(hours=1, minutes=1)
    renewed()
    assert asked(listener).speak


def test_claims_of_a_helper_hold_for_minutes_and_nobody_elses_do(
    agent: Agent, listener: Listener, company: Company
) -> None:
    asked(listener, user=OTHER, holds=[Hold.FULL_SCREEN])
    assert listener.holds() == frozenset()
    asked(listener, holds=[Hold.FULL_SCREEN])
    assert listener.holds() == {Hold.FULL_SCREEN}
    company.clock.advance(minutes=4)
    assert listener.holds() == frozenset()


_ID = b'"question":"0123456789abcdef"'
ODD = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"\xff\xfe{}", id="no text"),
    pytest.param(b"{" * 4_000, id="braces"),
    pytest.param(b'{"type":"look"}', id="a look without its parts"),
    pytest.param(b'{"type":"run","command":"reboot"}', id="a verb that there is none of"),
    pytest.param(b'{"type":"answer","question":"../../etc","choice":"now"}', id="a path for a question"),
    pytest.param(b'{"type":"answer",' + _ID + b',"choice":"never"}', id="an unknown choice"),
    pytest.param(
        b'{"type":"answer",' + _ID + b',"choice":"at","at":"9999-12-31T23:59:59Z"}', id="the end of time"
    ),
    pytest.param(
        b'{"type":"answer",' + _ID + b',"choice":"at","at":"2026-11-24T08:00:00"}', id="no zone"
    ),
    pytest.param(b'{"type":"answer",' + _ID + b',"choice":"now","x":1}', id="a field too many"),
    pytest.param(b" " * 4_097, id="too long"),
    pytest.param(b'{"type":"broke","campaign":"c-1","what":"' + b"x" * 501 + b'"}', id="a long story"),
    pytest.param(b'{"type":"broke","campaign":""}', id="no campaign"),
    pytest.param(b'{"type":"testing","joins":1}', id="neither in nor out"),
    pytest.param(
        b'{"type":"look","tongue":"en","here_since":"2026-11-24T08:00:00Z","holds":["deadline"]}',
        id="a hold of its own",
    ),
]  # fmt: skip


@pytest.mark.parametrize("said", ODD)
def test_odd_messages_are_refused_and_recorded_once_a_minute(
    agent: Agent, listener: Listener, company: Company, said: bytes
) -> None:
    company.orders = [order(**LONG)]
    run_pass(agent)
    before = state.load(agent.directory)
    for _ in range(50):
        assert listener.answer(said, ME) == Verdict(False, "odd")
    assert events(agent).count("odd message refused") == 1
    assert state.load(agent.directory) == before
    assert not (agent.directory / ANSWER).exists()


def test_an_answer_to_another_question_is_refused(agent: Agent, listener: Listener, company: Company) -> None:
    company.orders = [order(**LONG)]
    run_pass(agent)
    stale = asked(listener).question
    company.orders = [order(revision=2, force_at=START + timedelta(hours=9))]
    run_pass(agent, ask=True)
    assert stale is not None
    assert say(listener, Answer(stale.id, Choice.NOW)) == Verdict(False, "nothing-asked")
    assert say(listener, Shown(stale.id)) == Verdict(False, "nothing-asked")


def test_a_disk_without_room_is_said_and_nothing_is_taken(
    agent: Agent, listener: Listener, company: Company
) -> None:
    company.orders = [order(**LONG)]
    run_pass(agent)
    (agent.directory / f".{ANSWER}.new").mkdir()
    assert answer(listener, Choice.NOW) == Verdict(False, "no-room")


# -- what is said unasked -------------------------------------------------------------------------------------


@pytest.fixture
def installed(agent: Agent, company: Company) -> Agent:
    """An update that the person let come."""
    company.orders = [order(**LONG)]
    run_pass(agent)
    install_chosen(agent, "c-1")
    return agent


WORDS = [
    pytest.param("the printer\n\x1b[2J is gone", "the printer [2J is gone", id="own words, made harmless"),
    pytest.param("", WORDLESS, id="one click"),
    pytest.param(" \n\u202e", WORDLESS, id="nothing that could be read"),
]


@pytest.mark.parametrize(("what", "kept"), WORDS)
def test_who_works_at_the_machine_says_that_it_broke_something(
    installed: Agent, listener: Listener, company: Company, what: str, kept: str
) -> None:
    """P4.2: without root."""
    view = asked(listener)
    assert [(each.campaign, each.name) for each in view.installed] == [("c-1", "tool")]
    assert say(listener, Broke("c-1", what)).taken
    run_pass(installed)
    assert company.reports[-1].states[0].broke == kept
    (told,) = [e for e in journal.tail(installed.directory, 100) if "broke something" in e.event]
    assert told.detail == f"user {ME}: {kept}"


def test_who_works_at_the_machine_joins_the_testers_and_leaves_them(
    installed: Agent, listener: Listener, company: Company
) -> None:
    """P4.1."""
    for joins in (True, False):
        assert say(listener, Volunteering(joins)).taken
        run_pass(installed)
        assert company.reports[-1].volunteers is joins
        assert asked(listener).volunteers is joins
        company.clock.advance(minutes=1)


@pytest.mark.parametrize("word", [Broke("c-1", "all"), Volunteering(True)])
def test_nobody_else_says_anything(installed: Agent, listener: Listener, word: Word) -> None:
    """A machine in use is its person's: no other local user blames an update there, or makes it a tester."""
    assert not asked(listener, user=OTHER).mine
    assert say(listener, word, OTHER) == say(listener, word, NOBODY) == Verdict(False, "not-yours")
    assert not (installed.directory / WORD).exists()


@pytest.mark.parametrize(
    "campaign", [pytest.param("c-9", id="none of this machine"), pytest.param("c-2", id="not installed")]
)
def test_what_did_not_come_broke_nothing(
    installed: Agent, listener: Listener, company: Company, rig: Rig, campaign: str
) -> None:
    rig.offer("kit", "1.0")
    rig.have("kit=1.0")
    rig.offer("kit", "1.1")
    company.orders = [*company.orders, order(campaign="c-2", source="kit", **LONG)]
    run_pass(installed, ask=True)
    assert say(listener, Broke(campaign)) == Verdict(False, "not-here")


def test_words_are_taken_one_at_a_time(installed: Agent, listener: Listener, company: Company) -> None:
    """Whoever talks all day fills neither the journal nor the disk."""
    assert say(listener, Broke("c-1", "first")).taken
    assert say(listener, Broke("c-1", "second")) == Verdict(False, "too-often")
    company.clock.advance(minutes=1)
    assert say(listener, Volunteering(True)) == Verdict(False, "too-often")  # no pass has taken the first
    run_pass(installed)
    assert say(listener, Volunteering(True)).taken
    said = {report.states[0].broke for report in company.reports if report.states}
    assert "first" in said
    assert "second" not in said


def test_a_damaged_word_is_none_and_makes_room(installed: Agent, listener: Listener) -> None:
    (installed.directory / WORD).write_bytes(b"{")
    run_pass(installed)
    assert say(listener, Broke("c-1")).taken


def test_the_commands_of_somebody_without_root_go_through_the_service(installed: Agent) -> None:
    """P4.1, P4.2: who may not write the agent's directory asks its service; here, who is told by the kernel."""
    stop, complaints = threading.Event(), []
    listening = Listener(installed, os.geteuid)
    thread = threading.Thread(target=listening.serve, args=(stop, complaints.append))
    thread.start()
    try:
        while not (installed.directory / "person.sock").exists():
            assert thread.is_alive()
        assert tell(installed.directory, Broke("c-1", "no sound")).taken
    finally:
        stop.set()
        thread.join()
    run_pass(installed)
    assert held(installed).broke in {"no sound", ""}
    assert "the person says that it broke something" in events(installed)


HELPER = """
import sys, time, socket
while True:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.connect(sys.argv[1]); line.sendall(b"garbage" * 100); line.recv(65536)
            print("heard", flush=True)
    except OSError:
        pass
"""


def test_garbage_and_a_killed_helper_change_nothing(agent: Agent, rig: Rig, company: Company) -> None:
    """P5.4: the root service decides; what is on the other end of its socket never matters."""
    company.orders = [order()]
    stop, complaints = threading.Event(), []
    listener = Listener(agent, lambda: ME)
    thread = threading.Thread(target=listener.serve, args=(stop, complaints.append))
    thread.start()
    helper = subprocess.Popen(
        [sys.executable, "-c", HELPER, str(agent.directory / "person.sock")], stdout=subprocess.PIPE
    )
    try:
        assert helper.stdout is not None
        assert helper.stdout.readline() == b"heard\n"
        run_pass(agent)
        wait(agent, company, 115)
        helper.send_signal(signal.SIGKILL)
        helper.wait()
        wait(agent, company, 5)
    finally:
        helper.kill()
        helper.communicate()
        stop.set()
        thread.join()
    assert rig.status_of("tool") == "ii  1.1"
    assert company.reports[-1].states[0].forced
    assert complaints == []


def test_without_a_socket_the_service_goes_on(agent: Agent) -> None:
    deep = agent.directory / ("d" * 120)
    deep.mkdir()
    complaints: list[str] = []
    Listener(replace(agent, directory=deep), lambda: ME).serve(threading.Event(), complaints.append)
    assert "nobody can be asked" in complaints[0]


def test_questions_are_told_apart_by_what_they_are_about(agent: Agent, company: Company) -> None:
    company.orders = [order(**LONG)]
    remembered = run_pass(agent)
    asks = question.question_of(remembered, company.clock())
    assert asks is not None
    later = replace(asks, latest_at=asks.latest_at + timedelta(minutes=1))
    ids = {question.id_of(each) for each in (asks, later, replace(asks, topic=Topic.RESTART))}
    assert len(ids) == 3
    assert question.id_of(replace(asks, picked_at=company.clock())) == question.id_of(asks)
