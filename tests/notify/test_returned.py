"""Mail that comes back (RFC 3464): only which message failed is believed, and only of a message that went there."""

# ruff: noqa: E501 - a table reads best one row a line

from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.made import HOUR, MINUTE, START
from forestall.domain.action import Action
from forestall.domain.errors import InputError
from forestall.domain.evidence import Status
from forestall.notify.bounces import MOST_BYTES, Bounce, messages_of, read_bounce
from forestall.server.returned import Returned, read_mailbox, take_back
from notify.company import ASA, BEN, Company

DOMAIN = "corp.example"
NAME = "0123456789abcdef0123456789abcdef"


def dsn(
    message: str = NAME,
    to: str = ASA,
    action: str = "failed",
    status: str = "5.1.1",
    headers_only: bool = False,
    text: str = "could not be delivered",
) -> bytes:
    """A delivery status notification as mail servers write them."""
    returned = f"From: patch@corp.example\r\nTo: {to}\r\nMessage-ID: <{message}@{DOMAIN}>\r\nSubject: x\r\n"
    kind = "text/rfc822-headers" if headers_only else "message/rfc822"
    return (
        "From: MAILER-DAEMON@mx.corp.example\r\nTo: bounces@corp.example\r\nSubject: Undelivered\r\n"
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.corp.example\r\n\r\n"
        f"Final-Recipient: rfc822; {to}\r\nAction: {action}\r\nStatus: {status}\r\n"
        "Diagnostic-Code: smtp; 550 no such user\r\n\r\n"
        f"--b\r\nContent-Type: {kind}\r\n\r\n{returned}\r\n"
        "--b--\r\n"
    ).encode()


def other_mail(subject: str = "Out of office", body: str = f"I am away. <{NAME}@{DOMAIN}>") -> bytes:
    message = EmailMessage()
    message["From"], message["Subject"], message["In-Reply-To"] = ASA, subject, f"<{NAME}@{DOMAIN}>"
    message.set_content(body)
    return bytes(message)


@pytest.mark.parametrize(
    ("content", "bounce"),
    [
        pytest.param(dsn(), Bounce(NAME, ASA, "5.1.1"), id="the whole message is returned"),
        pytest.param(dsn(headers_only=True), Bounce(NAME, ASA, "5.1.1"), id="its headers are returned"),
        pytest.param(dsn(status="4.4.7"), Bounce(NAME, ASA, "4.4.7"), id="tried for days and given up"),
        pytest.param(dsn(status="rubbish"), Bounce(NAME, ASA, "unknown"), id="a status that is none"),
        pytest.param(dsn(to=ASA.upper()), Bounce(NAME, ASA, "5.1.1"), id="the address in capitals"),
        pytest.param(dsn().replace(b"\r\n", b"\n"), Bounce(NAME, ASA, "5.1.1"), id="bare line feeds, as a Maildir has them"),
        pytest.param(dsn(action="delayed"), None, id="a delay is no bounce"),
        pytest.param(dsn(action="delivered"), None, id="a success is no bounce"),
        pytest.param(dsn(message="not-one-of-ours"), None, id="a message of somebody else"),
        pytest.param(dsn().replace(b"@corp.example>\r\nSubject: x", b"@evil.example>\r\nSubject: x"), None, id="a message of another domain"),
        pytest.param(other_mail(), None, id="an out-of-office note that quotes the name"),
        pytest.param(other_mail("failed", "Action: failed\nStatus: 5.1.1"), None, id="a person who writes like a machine"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"\xff\x00" * 1_000, None, id="rubbish"),
        pytest.param(dsn()[:600], None, id="cut off"),
        pytest.param(b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 5_000, None, id="five thousand parts"),
    ],
)  # fmt: skip
def test_what_came_back(content: bytes, bounce: Bounce | None):
    assert read_bounce(content, DOMAIN) == bounce


@given(st.binary(max_size=400), st.integers(0, 900))
def test_no_bytes_make_it_fall_over(noise: bytes, at: int):
    content = dsn()
    read_bounce(content[:at] + noise + content[at:], DOMAIN)
    read_bounce(noise, DOMAIN)


def test_a_message_without_end_is_read_to_a_limit():
    assert read_bounce(dsn(text="x" * (2 * MOST_BYTES)), DOMAIN) is None


@pytest.mark.parametrize(
    ("piped", "count"),
    [
        pytest.param(dsn(), 1, id="one message"),
        pytest.param(b"From MAILER-DAEMON Mon Mar  2 09:00:00 2026\n" + dsn(), 1, id="an mbox of one"),
        pytest.param((b"From x Mon Mar  2 09:00:00 2026\n" + dsn().replace(b"\r\n", b"\n") + b"\n") * 3, 3, id="an mbox of three"),
    ],
)  # fmt: skip
def test_what_is_piped_in_is_one_message_or_an_mbox(piped: bytes, count: int):
    found = messages_of(piped)
    assert [read_bounce(each, DOMAIN) for each in found] == [Bounce(NAME, ASA, "5.1.1")] * count


@pytest.fixture
def warned(company: Company) -> Company:
    """Asa was warned, and the mail server accepted it."""
    name = company.own("pc-1", ASA)
    company.note(name, announced_at=START)
    company.see(name)
    company.round()
    assert company.record(name).warned_at == company.now
    company.now += MINUTE
    return company


def sent(company: Company) -> str:
    return company.host.accepted[0][1]["Message-ID"].strip("<>").partition("@")[0]


def test_a_bounce_takes_the_acceptance_back_and_there_is_no_removal(warned: Company):
    """A14, R29: a person is told instead."""
    assert take_back(warned.database, dsn(sent(warned)), DOMAIN, "mail", warned.now) is Returned.TAKEN_BACK
    assert warned.receipts(Action.WARN)["pc-1"] == ("refused", "the mail came back: 5.1.1")
    for _ in range(20):
        warned.see("pc-1")
        warned.round()
        warned.now += MINUTE
    assert warned.removed == []
    assert warned.record("pc-1").told_at is not None


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"to": BEN}, id="for somebody to whom it did not go"),
        pytest.param({"message": "f" * 32}, id="for a message that was never sent"),
        pytest.param({"to": "x@y\r\nAction: failed"}, id="for an address that is none"),
    ],
)
def test_a_bounce_that_fits_no_message_changes_nothing(warned: Company, forged: dict[str, str]):
    content = dsn(**{"message": sent(warned), **forged})
    assert take_back(warned.database, content, DOMAIN, "mail", warned.now) in {
        Returned.NOT_OURS,
        Returned.NO_BOUNCE,
    }
    assert warned.receipts(Action.WARN)["pc-1"][0] == "done"


def test_a_second_bounce_says_nothing_new(warned: Company):
    content = dsn(sent(warned))
    take_back(warned.database, content, DOMAIN, "mail", warned.now)
    at = warned.record("pc-1").refused_at
    assert take_back(warned.database, content, DOMAIN, "mail", warned.now + HOUR) is Returned.KNOWN
    assert warned.record("pc-1").refused_at == at


def test_a_bounce_of_an_announcement_leaves_the_warning_alone(company: Company):
    name = company.own("pc-1", ASA)
    company.see(name)
    company.round()
    company.round()
    announcement = sent(company)
    take_back(company.database, dsn(announcement), DOMAIN, "mail", company.now)
    assert company.receipts(Action.ANNOUNCE)[name][0] == "refused"
    assert company.receipts(Action.WARN)[name][0] == "done"


def test_who_is_fixed_in_the_meantime_stays_free(warned: Company):
    warned.see("pc-1", Status.FIXED)
    take_back(warned.database, dsn(sent(warned)), DOMAIN, "mail", warned.now)
    warned.round()
    assert warned.record("pc-1").told_at is None


def test_a_maildir_is_read_once_and_what_is_not_ours_stays(warned: Company, tmp_path: Path):
    box = tmp_path / "Maildir"
    for name in ("new", "cur", "tmp"):
        (box / name).mkdir(parents=True)
    (box / "new" / "1.a").write_bytes(dsn(sent(warned)))
    (box / "new" / "2.a").write_bytes(other_mail())
    (box / "new" / "3.a").write_bytes(dsn("f" * 32))
    first = read_mailbox(warned.database, box, DOMAIN, "mail", warned.now)
    assert first[Returned.TAKEN_BACK] == first[Returned.NO_BOUNCE] == first[Returned.NOT_OURS] == 1
    assert [file.name for file in (box / "new").iterdir()] == ["3.a"]
    assert sorted(file.name for file in (box / "cur").iterdir()) == ["1.a:2,S", "2.a:2,S"]
    second = read_mailbox(warned.database, box, DOMAIN, "mail", warned.now)
    assert {each: count for each, count in second.items() if count} == {Returned.NOT_OURS: 1}
    with pytest.raises(InputError, match="is no Maildir"):
        read_mailbox(warned.database, tmp_path, DOMAIN, "mail", warned.now)
