"""Updates without a package are rated, driven and counted like patches (P1.4); their approval carries the recipe."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from laboratory.office import Office

from domain.made import DAY, HOUR
from forestall.domain.campaign import Step
from forestall.domain.errors import InputError
from forestall.domain.evidence import Status
from forestall.domain.product import ProductName
from forestall.domain.remediation import RemediationId
from forestall.server import operators
from forestall.server.catalogue import pull
from forestall.server.papers import Wanted, approve_here
from forestall.server.publishing import order_document
from forestall.server.triage import triage
from forestall.server.undo import undo_campaign
from forestall.store import campaigns, records
from forestall.store.ratings import ThreeEs
from forestall.trust import channel
from forestall.trust.papers import papers_in
from forestall.trust.roles import Role
from server.company import Company
from trust.test_signer import signer, until_it_listens

UPDATE = RemediationId("any/definitions/27455")
CONTENT = b"definitions"
FILE = {
    "update": UPDATE,
    "title": "Definitions that know the worm",
    "published_at": "2026-11-24T06:00:00Z",
    "vulnerabilities": [],
    "recipe": {
        "kind": "put-file",
        "payload": {"sha256": hashlib.sha256(CONTENT).hexdigest(), "length": len(CONTENT)},
        "path": "/var/lib/clamav/main.cvd",
        "owner": "clamav",
        "group": "clamav",
        "mode": 0o644,
    },
}


@dataclass
class Given:
    """The files that a person has in his hands."""

    folder: Path
    company: Company
    office: Office
    recipe: Path = field(init=False)
    payload: Path = field(init=False)

    def __post_init__(self) -> None:
        self.recipe, self.payload = self.folder / "worm.recipe.json", self.folder / "main.cvd"
        self.recipe.write_text(json.dumps(FILE))
        self.payload.write_bytes(CONTENT)

    def approve(self, **changed: object) -> None:
        wanted = replace(Wanted((UPDATE,), recipes=(self.recipe,), payloads=(self.payload,)), **changed)
        keys = self.office.keys(Role.REMEDIATIONS)
        approve_here(self.company.installation, wanted, keys, "aiko", self.company.now)


@dataclass(frozen=True)
class Settings:
    """All that approving looks at."""

    directory: Path


@pytest.fixture
def given(tmp_path: Path, company: Company) -> Iterator[Given]:
    """A company with a signer that answers, and a recipe that it has read."""
    office = Office(tmp_path / "trust", company.now)
    company.installation = replace(company.installation, settings=Settings(tmp_path))  # type: ignore[arg-type]
    path, stop = tmp_path / "trust/online/signer.sock", threading.Event()
    clock = lambda: company.now  # noqa: E731 - read anew each time
    thread = threading.Thread(target=channel.serve, args=(path, signer(office), clock, stop.is_set))
    thread.start()
    until_it_listens(path)
    made = Given(tmp_path, company, office)
    assert [
        (each.records, each.trouble) for each in pull(company.database, str(made.recipe), company.now)
    ] == [(1, "")]
    yield made
    stop.set()
    thread.join()


def rated(company: Company) -> str:
    operators.rate_update(
        company.database, UPDATE, ThreeEs(expansion=True), None, "a worm", "aiko", company.now
    )
    return operators.start_campaign(
        company.installation, UPDATE, 8 * DAY, "aiko", company.now, testing=False
    ).id


def test_a_recipe_is_on_the_list_and_its_campaign_takes_in_every_machine(
    given: Given, company: Company
) -> None:
    """P1.4, A2: no package list can say who has it."""
    early = company.machine(name="early")
    assert (UPDATE, 1) in [(row.remediation, row.affected) for row in triage(company.database)]
    name = rated(company)
    late = company.machine(name="late")
    with company.database.begin() as con:
        found = {record.device: record.inventory_status for record in records.gather(con, name)}
        (campaign,) = campaigns.some(con, [name])
    assert found == {early: None, late: None}
    assert company.standing(name).unknown == 2
    assert company.turn() == {"offer": 2}
    company.check_in(early, name, "fixed")
    assert (company.standing(name).fixed, company.standing(name).unknown) == (1, 1)
    order = order_document(campaign, 2, company.now, company.policy)
    assert (order.product, order.release, order.version) == (ProductName.RECIPE, "any", "27455")


def test_an_inventory_says_nothing_about_a_recipe(given: Given, company: Company) -> None:
    """Not even where a package has the same name."""
    device = company.machine()
    name = rated(company)
    company.check_in(device, name, "affected")
    company.now += HOUR
    company.desk.take_inventory(device, given_report(), company.now)
    with company.database.begin() as con:
        (record,) = records.gather(con, name)
    assert (record.inventory_status, record.agent_status) == (None, Status.AFFECTED)


def given_report() -> object:
    from server.company import report

    return report("27455", source="definitions")


def test_an_approval_carries_the_recipe_and_its_payload_is_published(given: Given, company: Company) -> None:
    """A10: signed offline, apart from any order."""
    given.approve()
    approval = papers_in(given.office.repository, company.now).approvals[UPDATE]
    assert approval.recipe is not None
    (published,) = given.office.repository.directory.glob("targets/payloads/*")
    assert published.read_bytes() == CONTENT
    given.approve(payloads=(), voluntary="1h")  # what is published already need not be given again


WRONG = [
    pytest.param({"recipes": ()}, "with --recipe", id="no recipe file"),
    pytest.param({"payloads": ()}, "give its file with --payload", id="no payload"),
    pytest.param({"approve": ()}, "not among the updates to approve", id="a recipe that nobody approves"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG)
def test_what_is_missing_is_said_before_anything_is_packed(
    given: Given, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        given.approve(**changed)


FILES = [
    pytest.param(b"", "recipe", "recipe.json", id="an empty recipe file"),
    pytest.param(b"other", "payload", "no recipe names this payload", id="another payload"),
    pytest.param(
        json.dumps({**FILE, "update": "bookworm/openssl/3"}).encode(),
        "recipe",
        "no update by a recipe",
        id="a recipe file for a package",
    ),
    pytest.param(
        json.dumps({**FILE, "recipe": {**FILE["recipe"], "mode": 0o777}}).encode(),  # type: ignore[dict-item]
        "recipe",
        "mode 0777",
        id="a recipe that cannot be carried out",
    ),
]


@pytest.mark.parametrize(("content", "which", "said"), FILES)
def test_an_odd_file_is_said_by_its_name(given: Given, content: bytes, which: str, said: str) -> None:
    getattr(given, which).write_bytes(content)
    with pytest.raises(InputError, match=said):
        given.approve()


def test_a_file_that_is_not_there_is_said_so(given: Given) -> None:
    given.payload.unlink()
    with pytest.raises(InputError, match="No such file"):
        given.approve()


def agent_update(given: Given, version: str) -> str:
    """Approve an update of the agent and start its campaign."""
    update = f"any/forestall-agent/{version}"
    content = version.encode()
    payload = {"sha256": hashlib.sha256(content).hexdigest(), "length": len(content)}
    recipe = {"kind": "update-agent", "payload": payload, "platform": "cpython-311-x86_64-linux-gnu"}
    given.recipe.write_text(json.dumps({**FILE, "update": update, "recipe": recipe}))
    given.payload.write_bytes(content)
    company = given.company
    pull(company.database, str(given.recipe), company.now)
    given.approve(approve=(update,))
    operators.rate_update(
        company.database, update, ThreeEs(expansion=True), None, "a worm", "aiko", company.now
    )
    return operators.start_campaign(
        company.installation, update, 8 * DAY, "aiko", company.now, testing=False
    ).id


def test_an_agent_is_taken_back_to_a_version_and_never_below_what_was_required(given: Given) -> None:
    """A7: also where the campaign that required it is over."""
    company, update = given.company, "any/forestall-agent/2.0"
    required, harmful = agent_update(given, "1.5"), agent_update(given, "2.0")
    operators.move_campaign(company.database, required, Step.CLOSE, "aiko", company.now)
    operators.move_campaign(company.database, harmful, Step.WITHDRAW, "aiko", company.now)
    with pytest.raises(InputError, match=f"--undo {update}=VERSION$"):
        undo_campaign(company.installation, harmful, HOUR, "aiko", company.now)
    way_back = {"approve": (), "recipes": (), "payloads": ()}
    with pytest.raises(InputError, match=f"Say where to: --undo {update}=VERSION$"):
        given.approve(**way_back, undo=(update,))
    given.approve(**way_back, undo=(f"{update}=1.0",))
    with pytest.raises(InputError, match=f"1.0 is below any/forestall-agent/1.5, which {required} requires"):
        undo_campaign(company.installation, harmful, HOUR, "aiko", company.now)
    given.approve(**way_back, undo=(f"{update}=1.5",))
    assert undo_campaign(company.installation, harmful, HOUR, "aiko", company.now).remediation == update
