"""A patch is tested by rings (P4): offered inside out, judged by what machines say, halted where it breaks them."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from domain.made import DAY, HOUR, MINUTE
from forestall import protocol
from forestall.domain.campaign import Campaign, Phase
from forestall.domain.device import DeviceId
from forestall.domain.errors import InputError
from forestall.domain.events import EventKind
from forestall.domain.ring import Ring
from forestall.domain.testing import Gate, Haste
from forestall.domain.trial import Verdict
from forestall.server import operators, rings
from forestall.server.publishing import order_document, ordered
from forestall.server.rings import Selection
from forestall.store import campaigns, ledger
from forestall.store import rings as lists
from server.company import FIXED, OPENSSL, Company, answered, report

TEAM, VOLUNTEERS, EARLY, BROAD, LAST = Ring


@dataclass
class Testers:
    """A company whose machines are in rings, and what they say."""

    company: Company
    machines: dict[Ring, list[DeviceId]]
    campaign: str = ""

    __test__ = False

    def begin(self) -> None:
        """Hand the update over to the rings."""
        self.company.campaign(testing=True)
        with self.company.database.begin() as con:
            (found,) = campaigns.everything(con)
            lists_before = lists.counts(con)
        assert found.ring is None
        assert lists_before[TEAM] == len(self.machines[TEAM])
        operators.move_campaign(
            self.company.database, found.id, operators.Step.CLOSE, "aiko", self.company.now
        )
        self.campaign = operators.start_campaign(
            self.company.installation, OPENSSL, 8 * DAY, "aiko", self.company.now, testing=False, rings=True
        ).id

    def state(self) -> Campaign:
        with self.company.database.begin() as con:
            found = campaigns.get(con, self.campaign)
        assert found is not None
        return found

    def hints(self, device: DeviceId) -> list[str]:
        return [hint.campaign for hint in self.say(device, "affected")]

    def say(
        self, device: DeviceId, status: str, boot: str = "boot", **said: object
    ) -> list[protocol.OrderHint]:
        state = protocol.OrderState(self.campaign, 1, status, **said)  # type: ignore[arg-type]
        message = protocol.CheckIn("0.1", boot, 1, "0" * 64, [state])
        company = self.company
        return answered(company.database, company.policy, device, message, company.now).hints

    def install(self, *devices: DeviceId) -> None:
        """They install, send their packages, and restart."""
        for device in devices:
            self.say(device, "fixed")
            self.company.desk.take_inventory(device, report(FIXED), self.company.now + MINUTE)
            self.say(device, "fixed", boot="another")

    def judged(self) -> tuple[Ring, str, Gate]:
        standing = rings.ring_standing(
            self.company.database, self.campaign, self.company.now, self.company.policy
        )
        assert standing.judgement is not None
        return standing.judgement.next, standing.judgement.rule.name, standing.judgement.rule.then


@pytest.fixture
def testers(company: Company) -> Testers:
    found = {ring: [company.machine(name=f"{ring}-{n}") for n in range(2)] for ring in Ring}
    for ring, machines in found.items():
        if ring is not BROAD:
            rings.put_into(company.database, ring, Selection(tuple(machines)), "aiko", company.now)
    made = Testers(company, found)
    made.begin()
    return made


def test_only_the_open_ring_is_offered_the_patch(testers: Testers):
    """P4.1."""
    assert testers.company.turn() == {"offer": 2}
    offered = [ring for ring, machines in testers.machines.items() if testers.hints(machines[0])]
    assert offered == [TEAM]


def test_a_good_patch_goes_from_ring_to_ring_by_itself(testers: Testers):
    """P4.2, P4.4: nobody does anything but those who install it."""
    company, opened = testers.company, []
    for ring in (TEAM, VOLUNTEERS, EARLY, BROAD):
        company.turn()
        assert testers.state().ring is ring
        opened.append(testers.state().ring_opened_at)
        testers.install(*testers.machines[ring])
        assert testers.judged()[1] == "ring-baking"
        company.turn(24 * HOUR if ring is BROAD else 8 * HOUR)
    state = testers.state()
    assert (state.ring, state.phase) == (LAST, Phase.VOLUNTARY)
    assert opened == sorted(opened)
    assert (state.tested_at, state.distributed_at) == (opened[2], opened[3])
    hours = rings.ring_standing(company.database, state.id, company.now, company.policy).hours
    assert (hours.haste, hours.late) == (Haste.GOOD, timedelta())
    with company.database.begin() as con:
        told = [
            (entry.event.kind, entry.event.rule, entry.event.paragraph)
            for entry in ledger.about(con, campaign=state.id, subject=state.id)
            if entry.event.kind in {EventKind.RING_OPENED, EventKind.PHASE_CHANGED}
        ]
    assert told == [
        (EventKind.RING_OPENED, "ring-passed", "P4.4"),
        (EventKind.RING_OPENED, "ring-passed", "P4.4"),
        (EventKind.PHASE_CHANGED, "distribute", ""),
        (EventKind.RING_OPENED, "ring-passed", "P4.4"),
    ]


def test_what_must_not_stop_is_offered_last(testers: Testers):
    company = testers.company
    operators.move_campaign(
        company.database, testers.campaign, operators.Step.DISTRIBUTE, "aiko", company.now
    )
    company.turn()
    company.turn()
    assert testers.hints(testers.machines[BROAD][0])
    assert not testers.hints(testers.machines[LAST][0])
    company.now += 8 * DAY
    company.turn()
    assert testers.state().phase is Phase.ENFORCING


def test_the_patch_that_stops_a_service_is_held_and_then_halted(testers: Testers):
    """P4.2, A7."""
    company = testers.company
    company.turn()
    first, second = testers.machines[TEAM]
    testers.say(first, "fixed", services=["squid.service"])
    company.turn(8 * HOUR)
    assert testers.judged() == (VOLUNTEERS, "ring-suspect", Gate.HOLD)
    testers.say(second, "fixed", broke="the <b>till</b>")
    with company.database.begin() as con:
        (complaint,) = [e for e in ledger.about(con, subject=second) if e.event.kind is EventKind.COMPLAINED]
    assert complaint.event.body == {"broke": "the <b>till</b>"}
    third = company.machine(name="team-3")
    rings.put_into(company.database, TEAM, Selection((third,)), "aiko", company.now)
    testers.say(third, "unknown", attempts=1)
    company.turn()
    state = testers.state()
    assert state.ring is TEAM
    assert state.halted_because.startswith("it fails or breaks something on too many machines: 3 of 3")
    assert not ordered(state)
    operators.resume_campaign(company.database, state.id, "aiko", company.now)
    assert testers.judged()[1] == "ring-baking", "what a person has looked at counts no more"


def test_a_patch_that_does_not_close_the_hole_is_halted(testers: Testers):
    """P4.3: affected before, installed, and affected after."""
    company = testers.company
    company.turn()
    testers.say(testers.machines[TEAM][0], "fixed")
    company.now += MINUTE
    company.desk.take_inventory(testers.machines[TEAM][0], report(), company.now)
    company.turn()
    state = testers.state()
    assert state.halted_because.endswith("the patch does not close the hole: 1 of 1 machine(s)")
    with company.database.begin() as con:
        (entry,) = [
            e
            for e in ledger.about(con, campaign=state.id, subject=state.id)
            if e.event.kind is EventKind.HALTED
        ]
    assert (entry.event.rule, entry.event.paragraph) == ("ring-refuted", "P4.3")


def test_silence_counts_against_the_patch(testers: Testers):
    company = testers.company
    company.turn()
    for device in testers.machines[TEAM]:
        testers.say(device, "fixed")
    company.turn(9 * HOUR)
    assert testers.judged() == (VOLUNTEERS, "ring-quiet", Gate.HOLD)
    rows = rings.trial_rows(company.database, testers.campaign, company.now, company.policy, [TEAM])
    assert [(row.verdict, row.rule) for row in rows] == [(Verdict.QUIET, "quiet")] * 2
    held = rings.trial_rows(company.database, testers.campaign, company.now, company.policy, [EARLY])
    assert [(row.verdict, row.rule, row.paragraph) for row in held] == [(None, "held", "P4.2")] * 2


def test_testers_are_never_forced_however_long_the_test_takes(testers: Testers):
    """P4.4: late is told; the hint always lies behind the life of the order."""
    company = testers.company
    company.turn()
    device = testers.machines[TEAM][0]
    for _ in range(3):
        company.turn(10 * DAY)
        (hint,) = testers.say(device, "affected")
        assert hint.force_at >= company.now + company.policy.order_valid_for
    hours = rings.ring_standing(company.database, testers.campaign, company.now, company.policy).hours
    assert (hours.haste, hours.distributed_at) == (Haste.LATE, None)
    assert hours.late == company.now - hours.due_at


def test_the_order_that_is_signed_for_the_test_never_names_a_later_deadline_than_the_final_one(
    testers: Testers,
):
    """The signer moves nothing forward."""
    company, fleet = testers.company, 10
    tested = testers.state()
    assert ordered(tested)
    before = order_document(tested, fleet, company.now, company.policy)
    after = operators.move_campaign(
        company.database, tested.id, operators.Step.DISTRIBUTE, "aiko", company.now + HOUR
    )
    final = order_document(after, fleet, company.now, company.policy)
    assert before.deadline_at < final.deadline_at
    assert before.offered_at <= final.offered_at


def test_people_join_and_leave_the_volunteers_themselves(testers: Testers):
    """P4.1."""
    company, device = testers.company, testers.machines[BROAD][0]

    def wish(machine: DeviceId, joins: bool | None) -> Ring | None:
        message = protocol.CheckIn("0.1", "boot", 1, "0" * 64, [], joins)
        answered(company.database, company.policy, machine, message, company.now)
        with company.database.begin() as con:
            return lists.of(con, [machine]).get(machine)

    assert wish(device, None) is None
    assert wish(device, True) is VOLUNTEERS
    assert wish(device, True) is VOLUNTEERS
    assert wish(device, False) is None
    assert wish(testers.machines[LAST][0], True) is LAST, "an operator's list"
    with company.database.begin() as con:
        told = [e.event for e in ledger.about(con, subject=device) if e.event.kind is EventKind.RING_CHANGED]
    assert [(event.actor, event.body) for event in told] == [
        ("its person", {"ring": "volunteers"}),
        ("its person", {"ring": "broad"}),
    ]


@pytest.mark.parametrize(
    ("selection", "why"),
    [
        pytest.param(Selection(), "selects no machine", id="nothing selected is nobody"),
        pytest.param(Selection(site="osaka"), "selects no machine", id="a site without machines"),
        pytest.param(Selection(share=0.0), "selects no machine", id="a share of nothing"),
        pytest.param(Selection(("nobody",)), "names 0 machines", id="a machine that is not known"),
    ],
)
def test_a_selection_that_is_nobody_changes_nothing(testers: Testers, selection: Selection, why: str):
    with pytest.raises(InputError, match=why):
        rings.put_into(testers.company.database, EARLY, selection, "aiko", testers.company.now)


def test_a_share_is_always_the_same_machines(testers: Testers):
    company = testers.company
    first = rings.put_into(company.database, EARLY, Selection(site="tokyo", share=0.5), "aiko", company.now)
    again = rings.put_into(company.database, EARLY, Selection(site="tokyo", share=0.5), "aiko", company.now)
    assert 0 < len(first) < 10
    assert again == []
