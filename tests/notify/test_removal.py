"""A14: no accepted warning, no removal. Real passes, a real SMTP server; the switch only notes what it was told."""

import pytest

from domain.made import HOUR, MINUTE
from forestall.domain.action import Action
from forestall.domain.evidence import Status
from notify.company import ASA, BEN, Company


def live_through(company: Company, *machines: str, minutes: int, every: int = 2) -> None:
    """Let time pass: now and then a pass, mail, switches; probes see the machines as vulnerable as they are."""
    for _ in range(0, minutes, every):
        for machine in machines:
            company.see(machine)
        company.round()
        company.now += every * MINUTE


@pytest.fixture
def machine(company: Company) -> str:
    name = company.own("printer", ASA)
    company.note(name, announced_at=company.now - HOUR)
    return name


def test_who_was_warned_and_stays_vulnerable_is_removed_within_the_quarter_of_an_hour(
    company: Company, machine: str
):
    """P6.3, P6.4: the warning is accepted, the re-check finds it vulnerable, the port is closed."""
    begun = company.now
    live_through(company, machine, minutes=16)
    assert company.host.recipients() == [ASA]
    assert company.removed == [machine]
    record = company.record(machine)
    assert record.warned_at == begun
    assert 10 * MINUTE <= record.quarantined_at - record.warned_at <= 15 * MINUTE


def test_a_server_that_refuses_the_recipient_means_no_removal_and_a_person_is_told(
    company: Company, machine: str
):
    company.host.answers[ASA] = "550 5.1.1 no such user"
    live_through(company, machine, minutes=24)
    assert company.removed == []
    assert company.record(machine).refused_at is not None
    assert company.record(machine).told_at is not None
    outcome, detail = company.receipts(Action.WARN)[machine]
    assert outcome == "refused"
    assert "550 5.1.1 no such user" in detail


def test_a_dead_server_means_no_removal_and_after_four_hours_a_person_is_told(company: Company, machine: str):
    company.host.down()
    live_through(company, machine, minutes=20)
    assert company.removed == []
    assert company.record(machine).told_at is None
    company.now += 4 * HOUR
    live_through(company, machine, minutes=4)
    assert company.record(machine).told_at is not None
    assert "no mail server took it" in company.receipts(Action.WARN)[machine][1]
    company.host.up()
    live_through(company, machine, minutes=20)
    assert company.removed == []


def test_a_dead_server_that_comes_back_within_the_hour_changes_nothing_but_the_time(
    company: Company, machine: str
):
    """R29: the warning waits; the quarter of an hour begins when it is accepted."""
    company.host.down()
    live_through(company, machine, minutes=60, every=10)
    company.host.up()
    accepted = company.now
    live_through(company, machine, minutes=16)
    assert company.record(machine).warned_at - accepted <= MINUTE
    assert company.removed == [machine]


def test_a_server_that_says_later_is_asked_again_and_only_then_the_time_runs(company: Company, machine: str):
    company.host.answers[ASA] = "451 4.7.1 greylisted, come back"
    live_through(company, machine, minutes=20)
    assert company.removed == []
    assert company.record(machine).refused_at is None
    del company.host.answers[ASA]
    live_through(company, machine, minutes=32)
    assert company.host.recipients() == [ASA]
    assert company.removed == [machine]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"sender_answer": "550 5.7.1 who are you"}, id="the server refuses our sender"),
        pytest.param({"sender_answer": "530 5.7.0 log in first"}, id="the server wants a login"),
        pytest.param({"sender_answer": "421 4.3.2 closing down"}, id="the server closes down"),
    ],
)
def test_trouble_between_us_and_the_server_is_nobodys_refusal(
    company: Company, machine: str, trouble: dict[str, str]
):
    for name, words in trouble.items():
        setattr(company.host, name, words)
    live_through(company, machine, minutes=5)
    assert company.removed == []
    assert company.record(machine).refused_at is None
    assert company.receipts(Action.WARN)[machine][0] is None
    company.host.sender_answer = ""
    live_through(company, machine, minutes=1)
    assert company.host.recipients() == [ASA]


def test_who_is_fixed_before_the_mail_goes_out_gets_none(company: Company, machine: str):
    """The guard asks the rules right before the hand-over."""
    company.see(machine)
    company.decide()
    company.see(machine, Status.FIXED)
    assert company.deliver() == []
    assert company.receipts(Action.WARN)[machine][0] == "dropped"


def test_one_warning_a_person_whatever_the_number_of_machines(company: Company):
    """P6.3: ten machines of one person are one mail; another person's is his own."""
    names = [company.own(f"asa-{n}", ASA) for n in range(10)] + [company.own("ben-1", BEN)]
    for name in names:
        company.note(name, announced_at=company.now - HOUR)
        company.see(name)
    company.round()
    assert sorted(company.host.recipients()) == [ASA, BEN]
    (mail,) = [message for to, message in company.host.accepted if to == ASA]
    text = mail.get_body(("plain",)).get_content()
    assert all(f"asa-{n}" in text for n in range(10))
    assert "ben-1" not in text
    assert {outcome for outcome, _ in company.receipts(Action.WARN).values()} == {"done"}
