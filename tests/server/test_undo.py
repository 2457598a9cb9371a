"""What a withdrawn campaign brought is taken back by one of its own (A7): approved, counted, and never a threat."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from laboratory.office import Office, approval_for

from domain.made import DAY, HOUR
from forestall.domain.advisory import Catalogue
from forestall.domain.campaign import Campaign, Kind, Step
from forestall.domain.device import DeviceId
from forestall.domain.errors import InputError
from forestall.domain.order import Verb
from forestall.server import operators
from forestall.server.publishing import order_document
from forestall.server.undo import undo_campaign
from forestall.store import campaigns, devices
from forestall.store.ratings import ThreeEs
from server.company import FIXED, OLD, Company, advisory, report


@dataclass(frozen=True)
class Settings:
    """All that approving looks at."""

    directory: Path


@dataclass
class Withdrawn:
    """A campaign that was withdrawn after one machine of two had installed its update."""

    company: Company
    office: Office
    campaign: str
    holder: DeviceId
    other: DeviceId

    def allow(self, back_to: str = OLD) -> None:
        """Have the way back signed, in the place of the approval to install."""
        paper = order_document(self.read(self.campaign), 2, self.company.now, self.company.policy)
        self.office.sign([], [approval_for(paper, verb=Verb.UNDO, back_to=back_to)], self.company.now)

    def undo(self) -> str:
        """Start taking it back, an hour of it voluntary."""
        return undo_campaign(self.company.installation, self.campaign, HOUR, "aiko", self.company.now).id

    def read(self, name: str) -> Campaign:
        with self.company.database.begin() as con:
            (found,) = campaigns.some(con, [name])  # type: ignore[list-item]
        return found


@pytest.fixture
def withdrawn(company: Company, tmp_path: Path) -> Withdrawn:
    office = Office(tmp_path / "trust", company.now)
    company.installation = replace(company.installation, settings=Settings(tmp_path))  # type: ignore[arg-type]
    holder, other = company.machine(name="holder"), company.machine(name="other")
    name = company.campaign()
    company.turn()
    company.check_in(holder, name, "fixed", chosen=True)
    company.desk.take_inventory(holder, report(FIXED), company.now)
    operators.move_campaign(company.database, name, Step.WITHDRAW, "aiko", company.now)
    company.turn()
    return Withdrawn(company, office, name, holder, other)


def test_it_is_driven_on_the_machines_that_have_this_very_version(withdrawn: Withdrawn) -> None:
    """A7: offered, forced, and fixed where it is gone."""
    company = withdrawn.company
    withdrawn.allow()
    name = withdrawn.undo()
    assert withdrawn.read(name).kind is Kind.UNDO
    assert company.standing(name).concerned == 1
    assert company.turn() == {"offer": 1}
    assert [hint.campaign for hint in company.check_in(withdrawn.holder, name, "affected")] == [name]
    assert company.check_in(withdrawn.other) == []
    company.now += 2 * HOUR
    company.check_in(withdrawn.holder, name, "affected")
    assert company.turn() == {"install": 1}
    company.desk.take_inventory(withdrawn.holder, report(OLD), company.now)
    company.check_in(withdrawn.holder, name, "fixed", forced=True)
    assert company.standing(name).fixed == 1
    assert company.turn() == {}


def test_the_order_says_so_in_both_languages(withdrawn: Withdrawn) -> None:
    withdrawn.allow()
    paper = order_document(
        withdrawn.read(withdrawn.undo()), 2, withdrawn.company.now, withdrawn.company.policy
    )
    assert (paper.verb, paper.version) == ("undo", FIXED)
    assert "taken back" in paper.texts["en"]
    assert "元に戻します" in paper.texts["ja"]


def test_a_machine_that_comes_back_with_it_is_taken_in(withdrawn: Withdrawn) -> None:
    """A5: restored from an image, or away all the time."""
    withdrawn.allow()
    name = withdrawn.undo()
    withdrawn.company.desk.take_inventory(withdrawn.other, report(FIXED), withdrawn.company.now)
    assert withdrawn.company.standing(name).concerned == 2


def test_who_does_not_obey_is_no_threat(withdrawn: Withdrawn) -> None:
    """A7, A4: a lost agent is a help-desk case; nobody is announced to, warned, probed or removed."""
    company = withdrawn.company
    withdrawn.allow()
    with company.database.begin() as con:
        found = devices.get(con, withdrawn.holder)
        assert found is not None
        devices.save(con, [replace(found, owner="aiko@example.org")])
    name = withdrawn.undo()
    ordered = set(company.turn())
    for failures in range(1, 9):
        company.check_in(withdrawn.holder, name, "affected", failures=failures)
        ordered |= set(company.turn(DAY))
    assert ordered == {"offer", "expect", "help"}


REFUSED = [
    pytest.param(lambda _: None, "Nobody approved that .* is taken back", id="nobody approved the way back"),
    pytest.param(lambda w: (w.allow(), w.undo()), "drives .* already", id="it is being taken back already"),
]


@pytest.mark.parametrize(("before", "said"), REFUSED)
def test_what_speaks_against_it_is_said(withdrawn: Withdrawn, before: object, said: str) -> None:
    before(withdrawn)  # type: ignore[operator]
    with pytest.raises(InputError, match=said):
        withdrawn.undo()


def test_only_what_was_withdrawn_is_taken_back(company: Company) -> None:
    name = company.campaign()
    with pytest.raises(InputError, match="only a withdrawn update"):
        undo_campaign(company.installation, name, HOUR, "aiko", company.now)


def test_never_below_what_another_campaign_requires(withdrawn: Withdrawn) -> None:
    """A7: neither a running campaign nor one that is over, unless it was withdrawn, too."""
    company = withdrawn.company
    middle = "3.0.17-1~deb12u2"
    company.publish(Catalogue((advisory("DSA-0-1", "openssl", middle, "CVE-2026-0002"),)), "more (test)")
    operators.rate_update(
        company.database, "DSA-0-1", ThreeEs(expansion=True), None, "a worm", "aiko", company.now
    )
    other = operators.start_campaign(
        company.installation, f"bookworm/openssl/{middle}", 8 * DAY, "aiko", company.now, testing=False
    ).id
    withdrawn.allow()
    with pytest.raises(InputError, match=f"which {other} requires"):
        withdrawn.undo()
    operators.move_campaign(company.database, other, Step.CLOSE, "aiko", company.now)
    with pytest.raises(InputError, match=f"which {other} requires"):
        withdrawn.undo()
    withdrawn.allow(middle)
    assert withdrawn.read(withdrawn.undo()).remediation == f"bookworm/openssl/{FIXED}"


def test_no_threat_hastens_a_way_back(withdrawn: Withdrawn) -> None:
    """P8.1 is about updates."""
    withdrawn.allow()
    name = withdrawn.undo()
    with pytest.raises(InputError, match="no step"):
        operators.move_campaign(
            withdrawn.company.database, name, Step.IMMINENT, "aiko", withdrawn.company.now
        )
