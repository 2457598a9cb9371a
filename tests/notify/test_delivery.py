"""Mails go to a real SMTP server: everybody once, a person once a day, and a crash in the middle loses nobody."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from domain.made import DAY, DEADLINE, ENFORCING, HOUR, MINUTE, START, VOLUNTARY
from forestall.domain.action import Action
from forestall.domain.campaign import Step, take
from forestall.domain.errors import InputError
from forestall.domain.order import CampaignId
from forestall.domain.record import Outcome
from forestall.notify.smtp import Courier, MailServer, Parcel, Tls
from forestall.server.mail_preview import next_messages, samples
from forestall.store import campaigns, ledger, notices
from notify.company import ASA, BEN, CHI, Company
from notify.mail_server import CERTIFICATE, MailHost

KILLED = Path(__file__).parent / "hand_over.py"
PARCEL = Parcel("bounces@corp.example", ASA, b"Subject: x\r\n\r\nhello\r\n")


@pytest.fixture
def voluntary(company: Company) -> Company:
    """The same company, a day into the voluntary period."""
    company.change(VOLUNTARY)
    company.now = START + DAY
    return company


def with_people(company: Company, *lines: str) -> None:
    path = company.directory / "people.csv"
    path.write_text("address,name,language\n" + "\n".join(lines) + "\n", encoding="utf-8")
    company.mail = replace(company.mail, directory=path)


def ids(host: MailHost) -> list[str]:
    return [message["Message-ID"] for _, message in host.accepted]


# -- who gets what ------------------------------------------------------------------------------------------------


def test_everybody_is_told_once_owner_or_not(voluntary: Company):
    """P6.1: all users, redundantly and on purpose; each in the own language."""
    with_people(voluntary, f"{ASA},Asa,en", f"{BEN},ベン,ja", f"{CHI},Chi,en")
    voluntary.own("pc-1", ASA)
    for _ in range(3):
        voluntary.round()
        voluntary.now += DAY
    assert sorted(voluntary.host.recipients()) == [ASA, BEN, CHI]
    languages = {to: message["Content-Language"] for to, message in voluntary.host.accepted}
    assert languages == {ASA: "en", BEN: "ja", CHI: "en"}
    assert voluntary.receipts(Action.ANNOUNCE)["pc-1"][0] == "done"
    with voluntary.database.begin() as con:
        assert any(each.event.body == {"everybody": 3} for each in ledger.read_all(con))


def test_a_mailing_list_of_the_settings_is_everybody(voluntary: Company):
    voluntary.mail = replace(voluntary.mail, everybody=("all@corp.example",))
    voluntary.round()
    assert voluntary.host.recipients() == ["all@corp.example"]


def test_a_directory_that_cannot_be_read_keeps_no_warning_back_and_everybody_is_told_later(company: Company):
    name = company.own("pc-1", ASA, language="ja\r\nBcc: all@corp.example")
    company.note(name, announced_at=START)
    company.see(name)
    with_people(company, f"{BEN},Ben,en")
    (company.directory / "people.csv").rename(company.directory / "gone.csv")
    company.decide()
    assert "people.csv: cannot be read" in company.post.write()
    company.round()
    assert company.host.recipients() == [ASA]
    (company.directory / "gone.csv").rename(company.directory / "people.csv")
    company.round()
    assert company.host.recipients() == [ASA, BEN]


def test_without_anybody_to_tell_nothing_is_said_again_and_again(voluntary: Company):
    for _ in range(3):
        voluntary.round()
    with voluntary.database.begin() as con:
        assert [each for each in ledger.read_all(con) if each.event.rule == "announce"] == []


def test_nobody_is_told_of_what_is_being_tested_or_halted(voluntary: Company):
    voluntary.mail = replace(voluntary.mail, everybody=("all@corp.example",))
    voluntary.change(replace(VOLUNTARY, halted_at=START, halted_because="x"))
    voluntary.round()
    voluntary.change(replace(VOLUNTARY, distributed_at=None, deadline_at=None))
    voluntary.round()
    assert voluntary.host.accepted == []


def test_an_announcement_waits_while_its_campaign_is_halted_and_ends_with_it(voluntary: Company):
    voluntary.mail = replace(voluntary.mail, everybody=("all@corp.example",))
    voluntary.post.write()
    voluntary.change(replace(VOLUNTARY, halted_at=START, halted_because="x"))
    assert voluntary.deliver() == []
    voluntary.change(VOLUNTARY)
    voluntary.now += 2 * MINUTE
    assert len(voluntary.deliver()) == 1


def test_what_is_over_before_its_mail_went_out_is_not_told(voluntary: Company):
    voluntary.mail = replace(voluntary.mail, everybody=("all@corp.example",))
    voluntary.post.write()
    withdrawn = take(VOLUNTARY, Step.WITHDRAW, voluntary.now)
    assert withdrawn is not None
    voluntary.change(withdrawn)
    assert voluntary.deliver() == []
    with voluntary.database.begin() as con:
        (progress,) = notices.progress(con)
    assert (progress.waiting, progress.dropped) == (0, 1)


def second_campaign(company: Company, **changed: object) -> None:
    other = replace(VOLUNTARY, **{"id": CampaignId("c2"), **changed})
    with company.database.begin() as con:
        campaigns.save(con, other)


def test_one_mail_a_person_and_day_and_what_waited_is_one_mail(voluntary: Company):
    voluntary.mail = replace(voluntary.mail, everybody=(ASA,))
    voluntary.round()
    second_campaign(voluntary)
    second_campaign(voluntary, id=CampaignId("c3"))
    voluntary.now += HOUR
    voluntary.round()
    assert len(voluntary.host.accepted) == 1
    voluntary.now += DAY
    voluntary.round()
    assert len(voluntary.host.accepted) == 2
    assert voluntary.host.accepted[1][1]["Subject"].strip().startswith("2 security updates")


def test_a_deadline_that_comes_first_does_not_wait_for_tomorrow(voluntary: Company):
    voluntary.mail = replace(voluntary.mail, everybody=(ASA,))
    voluntary.round()
    second_campaign(voluntary, deadline_at=voluntary.now + 5 * HOUR)
    voluntary.now += HOUR
    voluntary.round()
    assert len(voluntary.host.accepted) == 2


def test_a_final_warning_does_not_wait_for_tomorrow(company: Company):
    name = company.own("pc-1", ASA)
    company.see(name)
    company.round()  # announced: the machine came late
    company.round()
    subjects = [message["Subject"] for _, message in company.host.accepted]
    assert len(subjects) == 2
    assert subjects[1].startswith("Final warning")


def test_an_unreadable_machine_is_asked_about(voluntary: Company):
    """A2: ask its owner; nobody is removed for what is not known."""
    name = voluntary.own("camera", ASA, language="ja")
    voluntary.note(
        name, announced_at=START, inventory_status=None, inventory_at=None, unread_at=voluntary.now
    )
    voluntary.round()
    ((recipient, message),) = voluntary.host.accepted
    assert recipient == ASA
    assert "camera" in message["Subject"]
    assert voluntary.receipts(Action.ASK)[name][0] == "done"


def test_an_owner_whose_address_is_none_is_refused_and_the_others_are_told(company: Company):
    hostile = company.own("pc-1", "asa@corp.example\r\nBcc: all@corp.example")
    fine = company.own("pc-2", BEN)
    for name in (hostile, fine):
        company.note(name, announced_at=START)
        company.see(name)
    company.round()
    assert company.host.recipients() == [BEN]
    assert company.receipts(Action.WARN)[hostile] == ("refused", "its owner's address is no mail address")


# -- crashes ------------------------------------------------------------------------------------------------------


def test_killed_in_the_middle_the_rest_is_told_and_nobody_under_two_names(voluntary: Company):
    """kill -9 after 150 of 250: what was in flight goes again as the same message, and the receipt says so."""
    with_people(voluntary, *(f"p{n}@corp.example,,en" for n in range(250)))
    arguments = [voluntary.url, str(voluntary.host.port), str(voluntary.directory), voluntary.now.isoformat()]
    process = subprocess.Popen([sys.executable, KILLED, *arguments])
    voluntary.host.on_message = lambda: len(voluntary.host.accepted) == 150 and process.kill()
    assert process.wait(60) == -signal.SIGKILL
    voluntary.host.on_message = None
    voluntary.deliver()
    recipients = voluntary.host.recipients()
    assert set(recipients) == {f"p{n}@corp.example" for n in range(250)}
    assert len(set(ids(voluntary.host))) == 250
    assert 250 < len(recipients) <= 350
    with voluntary.database.begin() as con:
        details = [row[0] for row in con.exec_driver_sql("SELECT detail FROM notice")]
    assert sum("may have arrived twice" in detail for detail in details) == 100


def test_an_answer_that_never_came_is_a_doubt_and_the_message_keeps_its_name(voluntary: Company):
    """The server took the message and broke off: it goes again, as the same message."""
    voluntary.mail = replace(voluntary.mail, everybody=(ASA,))
    voluntary.host.after_data[ASA] = "hang up"
    voluntary.round()
    voluntary.host.after_data.clear()
    voluntary.now += 5 * MINUTE
    voluntary.round()
    assert voluntary.host.recipients() == [ASA, ASA]
    assert len(set(ids(voluntary.host))) == 1
    assert voluntary.host.accepted[0][1]["Date"] == voluntary.host.accepted[1][1]["Date"]


def test_nothing_is_told_twice_however_often_one_looks(voluntary: Company):
    voluntary.mail = replace(voluntary.mail, everybody=(ASA, BEN))
    voluntary.own("pc-1", CHI)
    for _ in range(5):
        voluntary.round()
    assert sorted(voluntary.host.recipients()) == [ASA, BEN, CHI]


def test_while_another_process_hands_over_this_one_does_not(voluntary: Company):
    voluntary.mail = replace(voluntary.mail, everybody=(ASA,))
    voluntary.post.write()
    with voluntary.database.begin() as other:
        assert notices.alone(other)
        assert voluntary.deliver() == []
    assert len(voluntary.deliver()) == 1


# -- the server's word --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        pytest.param("550 5.1.1 no such user", Outcome.REFUSED, id="the recipient is refused for good"),
        pytest.param("450 4.2.0 greylisted", Outcome.FAILED, id="the recipient is refused for now"),
        pytest.param("421 4.3.2 closing", Outcome.FAILED, id="the server closes"),
    ],
)
@pytest.mark.parametrize("when", ["answers", "after_data"])
def test_what_the_server_says_of_one_is_his_alone(
    voluntary: Company, words: str, outcome: Outcome, when: str
):
    voluntary.mail = replace(voluntary.mail, everybody=(ASA, BEN, CHI))
    getattr(voluntary.host, when)[BEN] = words
    answers = voluntary.deliver()
    assert sorted(voluntary.host.recipients()) == [ASA, CHI]
    assert sorted(answer.outcome for answer in answers) == sorted([Outcome.DONE, Outcome.DONE, outcome])
    assert words[:3] in next(answer.detail for answer in answers if answer.outcome is outcome)


def test_a_connection_that_was_idle_too_long_is_opened_anew(mail_host: MailHost):
    with Courier(mail_host.server, connections=1) as courier:
        assert courier.hand_over([PARCEL])[0].outcome is Outcome.DONE
        mail_host.down()
        mail_host.up()
        assert courier.hand_over([PARCEL])[0].outcome is Outcome.DONE


def test_a_dead_server_answers_for_nobody(mail_host: MailHost):
    mail_host.down()
    with Courier(mail_host.server) as courier:
        answers = courier.hand_over([PARCEL] * 50)
    assert {(answer.outcome, answer.reached) for answer in answers} == {(Outcome.FAILED, False)}
    assert str(mail_host.port) in answers[0].detail


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
def test_over_tls(tls: Tls):
    with MailHost(tls=tls) as host, Courier(host.server) as courier:
        assert courier.hand_over([PARCEL])[0].outcome is Outcome.DONE


def test_with_a_name_and_a_password(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("öpen sesame\n", encoding="utf-8")
    secret.chmod(0o600)
    with MailHost(tls=Tls.STARTTLS, login=("desk", "öpen sesame")) as host:
        server = replace(host.server, user="desk", password_file=secret)
        with Courier(server) as courier:
            assert courier.hand_over([PARCEL])[0].outcome is Outcome.DONE
        secret.write_text("wrong", encoding="utf-8")
        with Courier(server) as courier:
            (answer,) = courier.hand_over([PARCEL])
        assert (answer.outcome, answer.reached) == (Outcome.FAILED, False)
        assert "535" in answer.detail


@pytest.mark.parametrize(
    ("of_server", "of_client"),
    [
        pytest.param(Tls.NONE, Tls.STARTTLS, id="the server has no STARTTLS: nothing in clear"),
        pytest.param(Tls.TLS, Tls.NONE, id="the server speaks TLS only"),
    ],
)
def test_protection_that_was_asked_for_is_never_gone_without(of_server: Tls, of_client: Tls):
    with MailHost(tls=of_server) as host, Courier(replace(host.server, tls=of_client)) as courier:
        if of_client is Tls.NONE:
            assert courier.hand_over([PARCEL], within_seconds=1)[0].outcome is Outcome.FAILED
        else:
            assert courier.hand_over([PARCEL])[0].outcome is Outcome.FAILED
        assert host.accepted == []


def test_a_certificate_of_a_stranger_is_refused():
    with MailHost(tls=Tls.TLS) as host, Courier(replace(host.server, ca_file=None)) as courier:
        (answer,) = courier.hand_over([PARCEL])
    assert answer.outcome is Outcome.FAILED
    assert "certificate" in answer.detail.lower()


def test_a_password_that_others_can_read_is_not_used(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        Courier(MailServer("127.0.0.1", 25, Tls.STARTTLS, CERTIFICATE, "desk", secret))


# -- before anybody sees it ---------------------------------------------------------------------------------------


def test_a_preview_shows_what_would_go_out_and_changes_nothing(company: Company):
    name = company.own("pc-1", ASA)
    company.note(name, announced_at=START)
    company.see(name)
    company.decide()
    waiting, messages = next_messages(company.post, company.now)
    assert (waiting, [each.parcel.recipient for each in messages]) == (1, [ASA])
    with company.database.begin() as con:
        assert notices.progress(con) == []
    assert [answer.outcome for answer in company.deliver()] == [Outcome.DONE]
    assert ids(company.host) == [f"<{messages[0].id}@corp.example>"]


def test_samples_of_a_campaign(company: Company):
    found = dict(samples(company.post, ENFORCING.id, "ja", DEADLINE))
    assert sorted(found) == ["announcement", "final_warning", "self_check"]
    with pytest.raises(InputError, match="no campaign"):
        list(samples(company.post, "nothing", "en", DEADLINE))
