"""What two people decide, typed as people type it: ask, approvals, approve, exempt, protect, preview (A1, A8, A9)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.made import POLICY
from forestall.cli.main import app
from forestall.clock import utc_now
from forestall.domain.errors import InputError
from forestall.server.operators import start_campaign
from forestall.server.settings import Settings
from forestall.server.wiring import Installation
from forestall.store.database import Database
from forestall.store.embedded import Embedded
from server.decisions.company import OPENSSL, VOLUNTARY, people_and_machines, rate

Run = Callable[..., str]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server that runs, with a campaign; the commands find its database."""
    directory = tmp_path_factory.mktemp("operators")
    with Embedded(directory / "database") as embedded, Database(embedded.url) as database:
        database.migrate()
        people_and_machines(database)
        installation = Installation(Settings(directory), POLICY, database)
        rate(installation)
        start_campaign(installation, OPENSSL, VOLUNTARY, "aiko", utc_now(), testing=False)
        yield directory


@pytest.fixture
def run(directory: Path) -> Run:
    def invoke(*arguments: str, by: str = "aiko") -> str:
        result = CliRunner().invoke(
            app, [*arguments, "--data", str(directory)], env={"FORESTALL_USER": by}, catch_exceptions=True
        )
        if isinstance(result.exception, InputError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


def test_asked_listed_approved(run: Run):
    """A9."""
    said = run("ask", "force-early", "openssl-1", "--reason", "an exploit is near")
    assert "concerns 20" in said
    assert "Somebody else approves it until" in said
    listed = json.loads(run("approvals", "--json"))
    (asked,) = [row for row in listed if row["matter"] == "force_early"]
    assert (asked["count"], asked["by"], sum(asked["sites"].values())) == (20, "aiko", 20)
    table = run("approvals")
    assert f"request {asked['number']}: set {asked['machines'][:16]}" in table
    with pytest.raises(InputError, match="a second person must"):
        run("approve", str(asked["number"]))
    assert "aiko asked, ben approved. Done." in run("approve", str(asked["number"]), by="ben")
    assert json.loads(run("campaign", "show", "openssl-1", "--json"))["phase"] == "enforcing"


def test_exempted_listed_ended(run: Run):
    """A1."""
    asked = json.loads(
        run(
            "exempt", "m01", "openssl-1", "--for", "7d", "--reason", "lathe", "--control", "separated",
            "--json",
        )
    )  # fmt: skip
    run("approve", str(asked["number"]), by="ben")
    (row,) = json.loads(run("exemptions", "--campaign", "openssl-1", "--json"))
    assert (row["device"], row["control"], row["approved_by"]) == ("m01", "separated", "ben")
    assert "lathe" in run("exemptions")
    assert json.loads(run("campaign", "show", "openssl-1", "--json"))["exempt"] == 1
    assert "no longer exempt" in run("exempt", "m01", "openssl-1", "--end", "--reason", "mended")
    assert "No machine is exempt now." in run("exemptions")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param(["--control", "c"], "Say how long", id="without an end"),
        pytest.param(
            ["--control", "c", "--for", "1d", "--until", "2099-01-01"], "one of the two", id="with two"
        ),
        pytest.param(["--control", "c", "--until", "someday"], "is no date", id="until no date"),
        pytest.param(["--control", "c", "--until", "2099-01-01"], "30d at most", id="for many years"),
        pytest.param(["--for", "1d"], "what protects it instead", id="without a control"),
    ],
)
def test_an_exemption_that_is_not_one(run: Run, options: list[str], why: str):
    """A1."""
    with pytest.raises(InputError, match=why):
        run("exempt", "m02", "openssl-1", "--reason", "r", *options)


def test_protected_and_two_people_to_undo_it(run: Run):
    """A8, A9."""
    assert "Undone by two people" in run("protect", "u01", "--reason", "the mail server")
    assert json.loads(run("unprotect", "u01", "--reason", "replaced", "--json"))["machine"] == "u01"


def test_previewed_by_rule_with_a_set(run: Run):
    """A8."""
    found = json.loads(run("campaign", "preview", "openssl-1", "--json"))
    assert [(line["action"], line["count"]) for line in found["lines"]] == [("announce", 20)]
    assert found["lines"][0]["machines"][:16] in run("campaign", "preview", "openssl-1")


def test_a_replay_of_what_was_never_restored(run: Run):
    """A12."""
    with pytest.raises(InputError, match="There is nothing to replay"):
        run("ledger", "replay", "--reason", "the disk died")


def test_a_pack_of_what_is_not_rated(run: Run):
    """P7.2."""
    with pytest.raises(InputError, match="is not rated yet"):
        run("campaign", "pack", "bookworm/curl/8.0-2")
