"""The main job in the server, on a clock that a test turns: from an advisory to a fixed machine and its story."""

from datetime import timedelta

import pytest

from domain.made import DAY, HOUR, MINUTE, START
from forestall import protocol
from forestall.domain.campaign import Phase, Step
from forestall.domain.device import Device, DeviceId, SiteId
from forestall.domain.errors import InputError
from forestall.domain.events import EventKind
from forestall.domain.evidence import Status
from forestall.domain.order import CampaignId
from forestall.server import operators
from forestall.server.explain import explain
from forestall.server.overview import overview
from forestall.server.triage import triage
from forestall.store import campaigns, devices, inventories, ledger, records
from server.company import FIXED, OPENSSL, Company, answered, report

PERIOD = 2 * HOUR


def test_from_advisory_to_fixed(company: Company):
    """P5.2, P5.4, A6, P10.1: one machine is forced, one chooses, one never needed it."""
    late, early, fine = company.machine(name="late"), company.machine(name="early"), company.machine(FIXED)
    assert [(row.remediation, row.affected) for row in triage(company.database)] == [(OPENSSL, 2)]
    name = company.campaign(PERIOD)
    assert company.turn() == {"offer": 2}
    for device in (late, early):
        (hint,) = company.check_in(device)
        assert (hint.campaign, hint.force_at) == (name, START + PERIOD)
    assert company.check_in(fine) == []

    company.check_in(early, name, "fixed", chosen=True)
    company.check_in(late, name, "affected")
    assert company.turn(PERIOD - 2 * MINUTE) == {}, "before the deadline nothing is forced"
    company.check_in(late, name, "affected")
    assert company.turn(MINUTE) == {"install": 1}
    assert company.turn() == {}, "twice is once"

    company.check_in(late, name, "pending_restart", forced=True)
    assert company.standing(name).pending_restart == 1
    assert company.standing(name).compliance == (0.5, 0.5), "installed is not fixed"
    company.desk.take_inventory(late, report(FIXED), company.now)
    assert company.standing(name).pending_restart == 1, "package versions end no pending restart"
    company.now += MINUTE
    company.check_in(late, name, "fixed", forced=True)
    standing = company.standing(name)
    assert (standing.fixed, standing.voluntary, standing.forced) == (2, 1, 1)
    assert standing.compliance == (1.0, 1.0)
    assert triage(company.database)[0].affected == 1, "the one that chose has not sent its inventory yet"

    with company.database.begin() as con:
        story = [(e.event.kind, e.event.rule) for e in ledger.about(con, campaign=name, subject=late)]
    assert story == [
        (EventKind.INTENDED, "offer"),
        (EventKind.STATUS_CHANGED, ""),
        (EventKind.INTENDED, "force"),
        (EventKind.STATUS_CHANGED, ""),
        (EventKind.STATUS_CHANGED, ""),
        (EventKind.STATUS_CHANGED, ""),
    ]
    with company.database.begin() as con:
        steps = [
            (e.event.actor, e.event.kind, e.event.rule)
            for e in ledger.about(con, campaign=name, subject=name)
        ]
    assert steps == [
        ("forestall", EventKind.ENLISTED, ""),
        ("aiko", EventKind.PHASE_CHANGED, "distribute"),
        ("clockwork", EventKind.PHASE_CHANGED, "deadline"),
    ]


def test_a_machine_that_becomes_affected_later_is_taken_in(company: Company):
    """Reinstalled from an old image in the middle of the campaign."""
    device = company.machine(FIXED)
    name = company.campaign()
    assert company.turn() == {}
    company.desk.take_inventory(device, report(), company.now)
    assert company.turn() == {"offer": 1}
    assert company.standing(name).affected == 1


def test_an_inventory_report_touches_its_own_machine_alone(company: Company):
    one, other = company.machine(), company.machine()
    name = company.campaign()
    company.now += DAY
    company.desk.take_inventory(one, report(), company.now)
    with company.database.begin() as con:
        dates = {record.device: record.inventory_at for record in records.gather(con, CampaignId(name))}
    assert dates == {one: company.now, other: START}


def test_the_server_asks_for_an_inventory_when_its_hash_is_new(company: Company):
    device = company.machine()
    with company.database.begin() as con:
        known = inventories.reported_hashes(con, [device])[device]
    ask = protocol.CheckIn("0.1", "boot", 1, "0" * 64, [])
    same = protocol.CheckIn("0.1", "boot", 1, known, [])
    assert answered(company.database, company.policy, device, ask, company.now).send_inventory
    answer = answered(company.database, company.policy, device, same, company.now)
    assert not answer.send_inventory
    assert (answer.server_time, answer.next_check_seconds) == (company.now, 4 * 3600), "P5.3"


def test_word_about_a_campaign_the_machine_is_not_in_is_ignored(company: Company):
    device = company.machine(FIXED)
    name = company.campaign()
    company.check_in(device, name, "affected")
    company.check_in(device, "no-such-campaign", "affected")
    assert company.standing(name).affected == 0


def test_a_halted_campaign_forces_nobody_until_it_is_resumed(company: Company):
    """A7."""
    device = company.machine()
    name = company.campaign(PERIOD)
    company.turn()
    operators.halt_campaign(company.database, name, "printers fail", "ben", company.now)
    company.now += PERIOD
    company.check_in(device, name, "affected")
    assert company.turn() == {}
    resumed = operators.resume_campaign(company.database, name, "ben", company.now)
    assert (resumed.halted_at, resumed.halted_because) == (None, "")
    assert company.turn() == {"install": 1}
    with pytest.raises(InputError, match="is not halted"):
        operators.resume_campaign(company.database, name, "ben", company.now)


def test_a_withdrawn_patch_is_taken_back(company: Company):
    """A7."""
    device = company.machine()
    name = company.campaign()
    company.turn()
    operators.move_campaign(company.database, name, Step.WITHDRAW, "ben", company.now)
    assert company.check_in(device) == []
    assert company.turn() == {"recall": 1}
    assert company.turn() == {}


def test_failing_installs_halt_their_campaign(company: Company):
    """A7: by itself, with the reason on record."""
    fleet = [company.machine(name=f"host{n}") for n in range(12)]
    name = company.campaign(timedelta())
    for device in fleet:
        company.check_in(device, name, "affected")
    assert company.turn() == {"install": 10}, "at most so many a minute"
    for device in fleet:
        company.check_in(device, name, "affected", forced=True, failures=1)
    company.turn()
    with company.database.begin() as con:
        campaign = campaigns.get(con, name)
        told = [e.event.paragraph for e in ledger.read(con) if e.event.kind is EventKind.HALTED]
    assert campaign is not None
    assert "installs failed" in campaign.halted_because
    assert told == ["A7"]
    assert company.turn() == {}


def test_why_names_the_rules_in_order_with_their_times(company: Company):
    device = company.machine(name="laptop")
    name = company.campaign(PERIOD)
    company.turn()
    company.check_in(device, name, "affected")
    (answer,) = explain(company.database, "laptop", company.now, company.policy)
    assert (answer.campaign, answer.status, answer.rule) == (name, Status.AFFECTED, "voluntary")
    assert [rule.applies for rule in answer.rules] == [False] * (len(answer.rules) - 1) + [True]
    assert answer.rules[0].missed == "it is not quarantined"
    assert {rule.name: rule.missed for rule in answer.rules}[
        "fixed"
    ] == "it is affected, not fixed or not_affected"
    assert answer.evidence == (
        "agent said affected at 2026-03-02 09:01:00 UTC",
        "inventory said affected at 2026-03-02 09:00:00 UTC",
    )
    assert [(line.rule, line.paragraph) for line in answer.story] == [("offer", "P5.2"), ("", "A2")]
    assert explain(company.database, device, company.now, company.policy) == [answer]
    with pytest.raises(InputError, match=r"There is no machine “nobody”. List them: forestall devices"):
        explain(company.database, "nobody", company.now, company.policy)


def test_the_overview_shows_open_campaigns_and_counts_everything(company: Company):
    device = company.machine()
    name = company.campaign(PERIOD)
    company.turn()
    company.check_in(device, name, "fixed", chosen=True)
    view = overview(company.database, company.now, company.policy)
    assert (view.machines, view.updates_open, len(view.devices)) == (1, 1, 1)
    (row,) = view.campaigns
    assert (row.id, row.phase, row.standing.fixed, row.held) == (name, Phase.VOLUNTARY, 1, 0)
    assert row.open_over_time == ((START, 1), (company.now, 0))
    operators.move_campaign(company.database, name, Step.CLOSE, "aiko", company.now)
    assert overview(company.database, company.now, company.policy).campaigns == ()


def test_unmanaged_machines_of_which_nothing_is_known_are_taken_in_as_unknown(company: Company):
    """A2, A3."""
    company.machine()
    with company.database.begin() as con:
        devices.save(con, [Device(DeviceId("printer"), "printer", SiteId("tokyo"), managed=False)])
    standing = company.standing(company.campaign())
    assert (standing.affected, standing.unknown) == (1, 1)
    assert standing.compliance == (0.0, 0.5)
