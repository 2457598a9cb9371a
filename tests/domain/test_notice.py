"""Who is told what: addresses, one notice a person and campaign, one mail a day, and what a server's word means."""

# ruff: noqa: E501 - a table reads best one row a line

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import DAY, HOUR, MINUTE, POLICY, START
from forestall.domain.action import Action
from forestall.domain.device import DeviceId, SiteId
from forestall.domain.intent import Intent
from forestall.domain.notice import (
    Answer,
    MessageId,
    Notice,
    NoticeId,
    Owed,
    Person,
    Tracked,
    address_of,
    became,
    broadcast,
    collapse,
    may_go_at,
    message_of,
)
from forestall.domain.order import CampaignId
from forestall.domain.record import Outcome

ASA, BEN = Person("asa@corp.example", "Asa"), Person("ben@corp.example", language="ja")
WARNING = Notice(NoticeId("n1"), CampaignId("c1"), 1, Action.WARN, ASA)


def intent(device: str, action: Action = Action.WARN, campaign: str = "c1", round_: int = 0) -> Intent:
    return Intent(CampaignId(campaign), 1, DeviceId(device), action, round_, SiteId("tokyo"), "warn", "P6.3")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param(" Asa@Corp.Example ", "asa@corp.example", id="case and blanks make no second person"),
        pytest.param("asa+patch@corp.example", "asa+patch@corp.example", id="a tag is kept"),
        pytest.param("asa@日本.example", "asa@xn--wgv71a.example", id="an international domain is written in ASCII"),
        pytest.param("root@localhost", "root@localhost", id="a domain of one label"),
        pytest.param("", "", id="nothing"),
        pytest.param("asa", "", id="no domain"),
        pytest.param("asa@@corp.example", "", id="two at signs"),
        pytest.param("花子@corp.example", "", id="a local part beyond ASCII needs SMTPUTF8"),
        pytest.param("asa@corp.example\r\nBcc: all@corp.example", "", id="a header on the next line"),
        pytest.param("asa@corp.example\nRCPT TO:<b@c>", "", id="a command on the next line"),
        pytest.param("<asa@corp.example>", "", id="angle brackets"),
        pytest.param("asa@corp.example, ben@corp.example", "", id="two addresses"),
        pytest.param("asa ben@corp.example", "", id="a blank within"),
        pytest.param('"a@b"@corp.example', "", id="a quoted local part"),
        pytest.param(".asa@corp.example", "", id="a leading dot"),
        pytest.param("a..b@corp.example", "", id="two dots"),
        pytest.param("asa@-corp.example", "", id="a label that begins with a hyphen"),
        pytest.param("asa@corp..example", "", id="an empty label"),
        pytest.param("asa@[127.0.0.1]", "", id="an address literal"),
        pytest.param("a" * 65 + "@corp.example", "", id="too long a local part"),
        pytest.param("asa@" + "a" * 300, "", id="too long a label"),
        pytest.param("asa@corp.example\x00", "", id="a NUL"),
        pytest.param("asa\u202e@corp.example", "", id="a turned direction"),
    ],
)  # fmt: skip
def test_an_address(text: str, address: str):
    assert address_of(text) == address


@given(st.text(max_size=40))
def test_what_comes_out_is_an_address_that_can_stand_in_a_command_or_nothing(text: str):
    found = address_of(text) or address_of(f"{text}@corp.example")
    assert found == address_of(found)
    assert found.isascii()
    assert not set(found) & set(' \t\r\n<>",;:\\()[]\x00')


def test_ten_machines_of_one_person_are_one_notice():
    """P6.3: whatever the number of machines, and however the address is written."""
    owed = [
        Owed(intent(f"d{n}"), "ASA@corp.example" if n % 2 else "asa@corp.example", "en") for n in range(10)
    ]
    collapsed = collapse(owed, {})
    ((notice, carried),) = collapsed.notices.items()
    assert notice.person == Person("asa@corp.example")
    assert len(carried) == 10


def test_campaigns_and_kinds_are_told_apart():
    owed = [
        Owed(intent("d1"), ASA.address, "en"),
        Owed(intent("d1", Action.ASK), ASA.address, "en"),
        Owed(intent("d1", campaign="c2"), ASA.address, "en"),
    ]
    assert len(collapse(owed, {}).notices) == 3


def test_who_is_known_is_named_and_spoken_to_as_known():
    """A machine's language is a guess, a person's is not."""
    known = {BEN.address: BEN}
    (notice,) = collapse([Owed(intent("d1"), BEN.address, "en")], known).notices
    assert notice.person == BEN


def test_an_owner_without_an_address_is_nobody():
    collapsed = collapse([Owed(intent("d1"), "a\r\nBcc: all@corp.example", "en")], {})
    assert collapsed.notices == {}
    assert [each.device for each in collapsed.unwritable] == ["d1"]


def test_the_same_intents_make_the_same_notice_and_others_another():
    def of(*intents: Intent) -> NoticeId:
        (notice,) = collapse([Owed(each, ASA.address, "en") for each in intents], {}).notices
        return notice.id

    assert of(intent("d1"), intent("d2")) == of(intent("d2"), intent("d1"))
    assert of(intent("d1")) != of(intent("d1"), intent("d2"))
    assert of(intent("d1")) != of(intent("d1", round_=1))
    assert of(intent("d1", Action.ASK)) != of(intent("d1"))


def test_everybody_is_told_once_owners_by_their_own_notice():
    """P6.1: all users, not only owners."""
    people = {each.address: each for each in (ASA, BEN)}
    owned = collapse([Owed(intent("d1", Action.ANNOUNCE), ASA.address, "en")], people)
    told = broadcast(CampaignId("c1"), 1, people.values(), owned.notices)
    assert [notice.person for notice in told] == [BEN]
    assert all(notice.everybody for notice in (*told, *owned.notices))


@given(st.permutations([NoticeId("b"), NoticeId("a"), NoticeId("c")]))
def test_a_message_is_named_by_what_it_carries(some: list[NoticeId]):
    assert message_of(some) == message_of(sorted(some))
    assert message_of(some) != message_of(some[:2])
    assert message_of([some[0]]) == some[0]


@pytest.mark.parametrize(
    ("told_at", "deadline_at", "goes_at"),
    [
        pytest.param(None, None, START, id="nobody told this person anything yet"),
        pytest.param(START - HOUR, START + 8 * DAY, START + 23 * HOUR, id="told an hour ago: tomorrow"),
        pytest.param(START - 2 * DAY, START + 8 * DAY, START, id="told two days ago: now"),
        pytest.param(
            START - HOUR, START + 5 * HOUR, START, id="told an hour ago, but the deadline comes first"
        ),
        pytest.param(START - HOUR, START - DAY, START, id="told an hour ago, but the deadline has passed"),
        pytest.param(START - HOUR, None, START + 23 * HOUR, id="no deadline yet"),
    ],
)
def test_one_mail_a_person_and_day(told_at: datetime | None, deadline_at: datetime | None, goes_at: datetime):
    assert may_go_at(told_at, deadline_at, START, POLICY) == goes_at


DONE = Answer(Outcome.DONE, "accepted by mx:25: 250 ok")
LATER = Answer(Outcome.FAILED, "mx:25: 451 later")
CUT = Answer(Outcome.FAILED, "mx:25 broke off: lost", doubtful=True)
DEAD = Answer(Outcome.FAILED, "mx:25 does not take mail: refused", reached=False)


def tracked(notice: Notice = WARNING, **changed: object) -> Tracked:
    known = Tracked(notice, START, MessageId("m"), START, None, 0, None, None, "")
    return known._replace(**changed)


@pytest.mark.parametrize(
    ("so_far", "answer", "after", "outcome", "wait", "doubt_at"),
    [
        pytest.param(tracked(), DONE, MINUTE, Outcome.DONE, None, None, id="accepted"),
        pytest.param(tracked(), Answer(Outcome.REFUSED, "550"), MINUTE, Outcome.REFUSED, None, None, id="refused"),
        pytest.param(tracked(), LATER, MINUTE, Outcome.FAILED, MINUTE, None, id="later: a minute"),
        pytest.param(tracked(attempts=3), LATER, HOUR, Outcome.FAILED, 8 * MINUTE, None, id="and later, and later"),
        pytest.param(tracked(attempts=60), LATER, HOUR, Outcome.FAILED, 15 * MINUTE, None, id="never more than a quarter of an hour"),
        pytest.param(tracked(attempts=9), DEAD, HOUR, Outcome.FAILED, MINUTE, None, id="a dead server is nobody's fault: tried every minute"),
        pytest.param(tracked(), CUT, MINUTE, Outcome.FAILED, MINUTE, START + MINUTE, id="cut off after the whole message: in doubt from now on"),
        pytest.param(tracked(doubt_at=START), LATER, MINUTE, Outcome.FAILED, MINUTE, START, id="a later answer does not end the doubt"),
        pytest.param(tracked(), DEAD, 4 * HOUR, Outcome.REFUSED, None, None, id="A14: a final warning that nobody takes for four hours is given up"),
        pytest.param(tracked(), DEAD, 4 * HOUR - MINUTE, Outcome.FAILED, MINUTE, None, id="not a minute earlier"),
        pytest.param(tracked(replace(WARNING, action=Action.ANNOUNCE)), DEAD, 9 * DAY, Outcome.FAILED, MINUTE, None, id="an announcement is never given up"),
    ],
)  # fmt: skip
def test_what_an_answer_means(
    so_far: Tracked,
    answer: Answer,
    after: timedelta,
    outcome: Outcome,
    wait: timedelta | None,
    doubt_at: datetime | None,
):
    now = START + after
    told = became(so_far, MessageId("m"), answer, now, POLICY)
    assert (told.outcome, told.doubt_at) == (outcome, doubt_at)
    assert told.attempts == so_far.attempts + answer.reached
    if wait is not None:
        assert told.due_at == now + wait


def test_the_receipt_says_what_is_known_of_a_hand_over_that_was_cut_off():
    detail = became(tracked(doubt_at=START), MessageId("m"), DONE, START + HOUR, POLICY).detail
    assert "accepted by mx:25" in detail
    assert "2026-03-02 09:00:00 UTC got no answer" in detail
    assert "twice" in detail
