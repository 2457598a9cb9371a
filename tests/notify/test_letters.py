"""What a mail looks like to machines and to people; hostile names in it are harmless."""

from datetime import timedelta
from email.message import EmailMessage

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import DAY, DEADLINE, START
from forestall.notify.calendar import Deadline, calendar
from forestall.notify.letters import Contents, Letter, compose, write
from forestall.notify.message import Envelope, Sender, sender_of, tame
from forestall.notify.texts import BODIES, SUBJECTS, WORDS
from notify.mail_server import parsed

DESK = Sender("Patch Desk", "patch@corp.example")
LINK = "https://patch.corp.example/m/abc"
OPENSSL = Contents(
    Letter.ANNOUNCEMENT, "openssl 3.0.22", ("pc-1", "pc-2"), DEADLINE, 15, LINK, ("CVE-2026-1234",), event="openssl-1"
)  # fmt: skip
HOSTILE = [
    pytest.param("a\r\nBcc: all@corp.example", id="a header on the next line"),
    pytest.param("a\nSubject: you won", id="a bare line feed"),
    pytest.param("a\r\n\r\n<script>alert(1)</script>", id="a body of its own"),
    pytest.param('"><img src=http://evil.example/x>', id="a tag"),
    pytest.param("http://evil.example/login", id="a link"),
    pytest.param("a\u202egpj.exe", id="a turned direction"),
    pytest.param("a\x00\x1b[2J", id="control characters"),
    pytest.param("=?utf-8?q?=0d=0aBcc:_x?=", id="an encoded line break"),
    pytest.param("{link} {0.__class__}", id="a format of ours"),
    pytest.param("x" * 100_000, id="a hundred thousand letters"),
]


def mail(
    *parts: Contents, language: str = "en", name: str = "Asa Doe", message: str = "0" * 32
) -> EmailMessage:
    return parsed(
        write(parts or [OPENSSL], Envelope("asa@corp.example", language, START, name, message), DESK)
    )


def texts(message: EmailMessage) -> tuple[str, str]:
    """The plain text and the HTML."""
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content().replace("\r\n", "\n"), html.get_content()


def test_machines_know_what_it_is():
    """RFC 3834, RFC 2919: nobody's holiday answers it, filters can file it, a mailbox knows it again."""
    message = mail()
    assert message["From"] == "Patch Desk <patch@corp.example>"
    assert message["To"] == "Asa Doe <asa@corp.example>"
    assert message["Message-ID"] == f"<{'0' * 32}@corp.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == "<forestall.corp.example>"
    assert message["Date"].datetime == START
    assert message.defects == []
    assert message.get_all("MIME-Version") == ["1.0"]


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("letter", Letter)
def test_people_learn_what_until_when_which_machines_and_where(letter: Letter, language: str):
    """P6.1, P6.3, A2: in the language of the person."""
    part = Contents(letter, "openssl 3.0.22", ("pc-1", "pc-2"), DEADLINE, 15, LINK, ("CVE-2026-1234",))
    message = mail(part, language=language)
    for text in texts(message):
        assert "openssl 3.0.22" in text
        assert "CVE-2026-1234" in text
        assert "pc-1" in text
        assert LINK in text
        assert ("2026-03-10 09:00 UTC" in text) == (letter is not Letter.SELF_CHECK)
    assert message["Content-Language"] == language
    assert (max(map(ord, message["Subject"])) > 0x3000) == (language == "ja")


def test_a_final_warning_under_an_imminent_threat_says_so():
    """P8.3: fifteen minutes, or disconnected."""
    part = Contents(Letter.FINAL_WARNING, "openssl 3.0.22", ("pc-1",), START, 15, LINK, imminent=True)
    plain, _ = texts(mail(part))
    assert "imminent" in plain
    assert "15 minutes" in plain


def test_both_languages_say_the_same_things():
    both = [*SUBJECTS.values(), *WORDS.values(), *(("".join(a), "".join(b)) for a, b in BODIES.values())]
    for english, japanese in both:
        assert _fields(english) == _fields(japanese)


def _fields(text: str) -> set[str]:
    return {part.partition("}")[0] for part in text.split("{")[1:]}


def test_several_updates_of_one_person_are_one_mail():
    other = Contents(Letter.ANNOUNCEMENT, "squid 5.7", ("pc-1",), DEADLINE + DAY, 15, LINK, event="squid-1")
    message = mail(OPENSSL, other)
    plain, _ = texts(message)
    assert message["Subject"] == "2 security updates: openssl 3.0.22, squid 5.7"
    assert "squid 5.7" in plain
    assert plain.count(LINK) == 1


def test_a_hundred_machines_are_named_by_the_first_twenty():
    part = Contents(Letter.ANNOUNCEMENT, "x 1", tuple(f"pc-{n}" for n in range(100)), DEADLINE, 15, LINK)
    plain, _ = texts(mail(part))
    assert "pc-19 and 80 more" in plain
    assert "pc-20" not in plain


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_header_no_tag_and_no_link(name: str, language: str):
    """R34: in the owner's name, a machine's, an update's."""
    clean = mail(
        Contents(Letter.FINAL_WARNING, "u", ("m",), DEADLINE, 15, LINK, event="e"), language=language
    )
    part = Contents(Letter.FINAL_WARNING, name, (name,), DEADLINE, 15, LINK, (name,), event="e")
    message = mail(part, language=language, name=name)
    assert [key for key, _ in message.items()] == [key for key, _ in clean.items()]
    assert [each.get_content_type() for each in message.walk()] == [
        each.get_content_type() for each in clean.walk()
    ]
    assert message["To"].addresses[0].addr_spec == "asa@corp.example"
    assert message["Subject"].isprintable()
    plain, html = texts(message)
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("<a ") == 1
    assert plain.count("://") == 1
    assert not {each for each in plain if not each.isprintable() and each != "\n"}
    assert len(plain) < 3_000


WORDS_OF_HEADERS = st.sampled_from(
    ["=?utf-8?q?", "?=", "=0d=0a", "Bcc:", "=", "?", "\r\n", "://", ":", "//", '"', "\\"]
)
NAMES = st.text(max_size=60) | st.lists(WORDS_OF_HEADERS, max_size=12).map("".join)


@given(NAMES)
def test_a_tamed_name_is_printable_and_on_one_line(name: str):
    tamed = tame(name)
    assert tamed.isprintable()
    assert "=?" not in tamed
    assert "://" not in tamed
    assert len(tamed) <= 80
    assert tame(tamed) == tamed


@given(NAMES, NAMES)
def test_any_names_make_a_mail_that_reads_back(name: str, machine: str):
    message = mail(Contents(Letter.SELF_CHECK, "x 1", (machine,), None, 15, LINK), name=name)
    assert [each.addr_spec for each in message["To"].addresses] == ["asa@corp.example"]
    assert message["Bcc"] is None
    assert tame(machine) in texts(message)[0].replace("\n", " ")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_line_of_a_mail_can_travel_through_any_mail_server(language: str):
    """RFC 5321, 4.5.3.1.6: at most 998 octets, and nothing but seven bits."""
    content = write([OPENSSL] * 5, Envelope("asa@corp.example", language, START, "山田 花子", "1"), DESK)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.count(b"\n") == content.count(b"\r\n")


def events(message: EmailMessage) -> list[icalendar.Event]:
    """The calendar entries, read by another program than the one that wrote them."""
    (attached,) = message.iter_attachments()
    assert attached.get_content_type() == "text/calendar"
    assert attached.get_param("method") == "PUBLISH"
    found = icalendar.Calendar.from_ical(attached.get_content())
    return list(found.walk("VEVENT"))


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_deadline_is_a_calendar_entry_in_utc(language: str):
    """RFC 5545."""
    (event,) = events(mail(language=language))
    assert event.decoded("dtstart") == DEADLINE
    assert event["uid"] == "openssl-1@corp.example"
    assert "openssl 3.0.22" in event["summary"]
    assert event["description"].endswith(LINK)
    assert event["url"] == LINK
    (alarm,) = event.walk("VALARM")
    assert alarm.decoded("trigger") == -timedelta(days=1)


def test_a_moved_deadline_moves_the_entry():
    """P8.1: the same name, a higher sequence."""
    (before,) = events(mail())
    moved = Contents(
        Letter.FINAL_WARNING, "openssl", (), START, 15, LINK, imminent=True, event="openssl-1", sequence=9
    )
    (after,) = events(mail(moved))
    assert before["uid"] == after["uid"]
    assert before["sequence"] < after["sequence"]
    assert after.decoded("dtstart") == START


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_in_a_calendar_reads_back(summary: str, description: str):
    summary, description = tame(summary, 300), tame(description, 300)
    text = calendar([Deadline("u@corp.example", DEADLINE, 3, summary, description, LINK)], START)
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    (event,) = icalendar.Calendar.from_ical(text).walk("VEVENT")
    assert str(event["summary"]) == summary
    assert str(event["description"]) == description


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        pytest.param("Patch Desk <patch@corp.example>", DESK, id="a name and an address"),
        pytest.param('"Patch Desk" <patch@corp.example>', DESK, id="a name in quotes"),
        pytest.param("patch@corp.example", Sender("", "patch@corp.example"), id="an address"),
        pytest.param("<patch@corp.example>", Sender("", "patch@corp.example"), id="an address in brackets"),
    ],
)
def test_a_sender(text: str, sender: Sender):
    assert sender_of(text) == sender


@pytest.mark.parametrize("text", ["", "Patch Desk", "Patch <desk>", "<a@b", "a@b\r\nBcc: c@d", "a@b, c@d"])
def test_no_sender(text: str):
    with pytest.raises(ValueError, match="is no mail address"):
        sender_of(text)


def test_the_one_call_of_the_demonstration():
    message = compose(OPENSSL, "everybody@tokyo.example", "Patch Desk <patch@corp.example>", "ja", START)
    assert message["To"] == "everybody@tokyo.example"
    assert b"From: Patch Desk <patch@corp.example>" in message.as_bytes()
