"""Certificates on the machine: enrolled by a token's own server, renewed in time and late, never lost on the way."""

import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.company import TOKEN, Company
from agent.rig import Rig
from certificates import REQUEST
from forestall import protocol
from forestall.agent import identity, state
from forestall.agent.enrolment import Invitation, join
from forestall.agent.loop import run_pass
from forestall.agent.memory import Agent
from forestall.domain.errors import AgentError, InputError

PROBLEM = b'{"title":"%s","detail":"-","status":401}'


@pytest.fixture
def agent(rig: Rig, company: Company) -> Agent:
    rig.offer("tool", "1.0")
    rig.have("tool")
    company.enrol(rig.directory)
    return Agent(rig.directory, rig.debian, clock=company.clock)


def spoken(company: Company) -> list[tuple[str, int]]:
    """With what certificate each check-in came, in the order of issue, and its number."""
    serials = sorted({each.serial for each in company.speakers})
    words = zip(company.heard, company.speakers, strict=True)
    checked_in = [serials.index(each.serial) for path, each in words if path == protocol.CHECK_IN]
    return list(zip(map(str, checked_in), (report.sequence for report in company.reports), strict=True))


def test_a_certificate_is_renewed_from_two_thirds_of_its_life_on_with_a_new_key(
    agent: Agent, company: Company
) -> None:
    first = (agent.directory / "identity.pem").read_bytes()
    for days in (0, 9, 1, 0):
        company.clock.advance(days=days)
        run_pass(agent, ask=True)
    assert spoken(company) == [("0", 1), ("0", 2), ("1", 1), ("1", 2)]
    assert company.heard.count(protocol.RENEW) == 1
    assert company.speakers[company.heard.index(protocol.RENEW)].serial == company.speakers[0].serial
    second = (agent.directory / "identity.pem").read_bytes()
    assert second.partition(b"PRIVATE KEY")[2] != first.partition(b"PRIVATE KEY")[2]


def test_a_machine_that_was_away_for_long_renews_first(agent: Agent, company: Company) -> None:
    """80 days late: the certificate ended 66 days ago."""
    company.clock.advance(days=80)
    run_pass(agent)
    assert company.heard[:2] == [protocol.RENEW, protocol.CHECK_IN]
    assert spoken(company) == [("1", 1)]


def test_a_machine_whose_clock_is_behind_renews_when_the_server_says_so(
    agent: Agent, company: Company
) -> None:
    company.once[protocol.CHECK_IN] = (401, {}, PROBLEM % b"The certificate has ended")
    assert run_pass(agent).last_problem == ""
    assert company.heard[:3] == [protocol.CHECK_IN, protocol.RENEW, protocol.CHECK_IN]
    assert [report.sequence for report in company.reports] == [1]


def test_a_machine_that_lost_its_count_begins_a_new_one_with_a_new_certificate(
    agent: Agent, company: Company
) -> None:
    """Else it would look like its own clone."""
    for _ in range(3):
        run_pass(agent, ask=True)
    (agent.directory / "state.json").unlink()
    run_pass(agent)
    assert spoken(company) == [("0", 1), ("0", 2), ("0", 3), ("1", 1)]


def test_a_machine_that_lost_its_count_says_nothing_until_it_has_a_new_certificate(
    agent: Agent, company: Company
) -> None:
    run_pass(agent)
    (agent.directory / "state.json").write_bytes(b"torn")
    company.once[protocol.RENEW] = (503, {}, b"")
    assert "503" in run_pass(agent).last_problem
    assert company.heard.count(protocol.CHECK_IN) == 1


def test_a_change_over_that_was_cut_off_is_made_good(agent: Agent, company: Company) -> None:
    """The new certificate is on disk, the count still the old one's."""
    before = state.load(agent.directory)[0]
    company.clock.advance(days=10)
    run_pass(agent)
    state.save(agent.directory, before)
    run_pass(agent, ask=True)
    assert spoken(company) == [("1", 1), ("2", 1)]


BAD = [
    pytest.param((503, {}, b""), id="the server is busy"),
    pytest.param((200, {}, b'{"certificate": "none"}'), id="no certificate"),
    pytest.param((200, {}, b"{}"), id="no answer of this protocol"),
]


@pytest.mark.parametrize("answer", BAD)
def test_a_renewal_that_fails_leaves_what_there_is_and_the_machine_speaks_on(
    agent: Agent, company: Company, answer: tuple[int, dict[str, str], bytes]
) -> None:
    run_pass(agent)
    kept = (agent.directory / "identity.pem").read_bytes()
    company.clock.advance(days=10)
    company.once[protocol.RENEW] = answer
    run_pass(agent)
    assert (agent.directory / "identity.pem").read_bytes() == kept
    assert spoken(company) == [("0", 1), ("0", 2)]


@pytest.mark.parametrize("stranger", [True, False])
def test_a_certificate_for_another_machine_or_key_is_not_taken(
    agent: Agent, company: Company, stranger: bool
) -> None:
    kept = (agent.directory / "identity.pem").read_bytes()
    company.clock.advance(days=10)
    company.device = "d-2" if stranger else "d-1"
    if not stranger:
        given = protocol.RenewAnswer(company.issue(REQUEST))
        company.once[protocol.RENEW] = (200, {}, msgspec.json.encode(given))
    run_pass(agent)
    assert (agent.directory / "identity.pem").read_bytes() == kept


def test_what_the_server_says_of_a_clone_is_told_to_the_person_at_the_machine(
    agent: Agent, company: Company
) -> None:
    problem = b'{"title":"Two machines speak as this one","detail":"Enrol each of them again","status":403}'
    company.once[protocol.CHECK_IN] = (403, {}, problem)
    found = run_pass(agent)
    assert "Two machines speak as this one: Enrol each of them again" in found.last_problem
    assert protocol.RENEW not in company.heard


def test_a_person_and_the_service_use_the_same_certificate(agent: Agent, rig: Rig, company: Company) -> None:
    """Another process renews in between: the service reads it anew with each pass."""
    service = Agent(rig.directory, rig.debian, clock=company.clock)
    run_pass(service)
    company.clock.advance(days=10)
    run_pass(agent)
    run_pass(service, ask=True)
    assert spoken(company) == [("0", 1), ("1", 1), ("1", 2)]


def test_enrolment_tells_the_token_to_its_own_server_alone(company: Company, tmp_path: Path) -> None:
    """Who stands between hears nothing of it."""
    other = TOKEN[:-4] + "0000"
    with pytest.raises(AgentError, match="is not the server that the token is of"):
        join(tmp_path / "a", Invitation(company.url, other), "pc")
    with pytest.raises(AgentError, match="is not the server that the token is of"):
        join(tmp_path / "a", Invitation(company.url, "t-1"), "pc")
    assert company.heard == []
    assert not identity.exists(tmp_path / "a")


def test_enrolment_goes_over_tls_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="agents speak TLS only"):
        join(tmp_path / "a", Invitation("http://127.0.0.1:9", TOKEN), "pc")


def test_a_machine_enrolled_again_keeps_what_it_has_done(company: Company, tmp_path: Path) -> None:
    join(tmp_path, Invitation(company.url, TOKEN), "pc")
    known, _ = state.load(tmp_path)
    known.sequence, known.installing = 9, True
    state.save(tmp_path, known)
    (tmp_path / "identity.json").unlink()
    made, _ = join(tmp_path, Invitation(company.url, TOKEN), "pc")
    known, _ = state.load(tmp_path)
    assert (known.certificate, known.sequence, known.installing) == (made.serial, 0, True)


def test_no_key_leaves_the_machine(agent: Agent, company: Company) -> None:
    """R37: neither in a file that others read nor in anything that was sent."""
    company.clock.advance(days=10)
    run_pass(agent)
    key = (agent.directory / "identity.pem").read_text().partition("PRIVATE KEY-----")[2].splitlines()[1]
    readable = [file for file in agent.directory.rglob("*") if file.is_file() and file.stat().st_mode & 0o077]
    assert len(readable) > 1
    assert not any(key.encode() in file.read_bytes() for file in readable)
    assert timedelta(days=13) < company.speakers[-1].ends_at - company.clock() <= timedelta(days=14)
    assert json.loads((agent.directory / "identity.json").read_bytes())["server"] == company.url
