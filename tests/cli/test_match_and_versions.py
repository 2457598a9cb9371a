"""`forestall match` and `forestall versions check`, run as a person runs them."""

import gzip
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from forestall.cli import match, versions
from forestall.domain.errors import FeedError, ForestallError, InputError

MACHINE = Path(__file__).parents[1] / "data" / "machine"
STATUS = MACHINE / "dpkg-status.gz"

app = typer.Typer(pretty_exceptions_enable=False)
app.command("match")(match.match)
app.add_typer(versions.app, name="versions")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_match_prints_what_is_open_worst_first():
    result = run("match", "--dpkg-status", STATUS, "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 0
    assert answer["open_advisories"] == len(answer["advisories"]) == 95
    assert answer["pending_upgrades"] is None, "without Packages indexes nobody knows"
    levels = [row["level"] for row in answer["advisories"]]
    assert levels == sorted(levels, key=["critical", "warning", "caution"].index)
    assert all(row["reasons"] for row in answer["advisories"])


def test_match_against_a_directory(tmp_path: Path):
    (tmp_path / "apt").symlink_to(MACHINE / "apt")
    (tmp_path / "advisories.jsonl").write_text(
        '{"id":"DSA-1-1","date":"2026-08-07","title":"t","cves":[],'
        '"affected":[{"release":"bookworm","source":"openssl","fixed":"9"}]}\n'
    )
    answer = json.loads(run("match", "--dpkg-status", STATUS, "--data", tmp_path, "--json").stdout)
    assert (answer["pending_upgrades"], answer["open_advisories"]) == (136, 1)
    assert len(answer["upgrades"]) == 136


def test_match_for_people_ends_with_the_sum():
    lines = run("match", "--dpkg-status", STATUS).stdout.splitlines()
    assert lines[-2:] == [
        "694 packages of bookworm",
        "pending upgrades: not known (no Packages index); open advisories: 95",
    ]


STANZA = "Package: libssl3\nStatus: {status}\nArchitecture: amd64\nSource: openssl\nVersion: {version}\n"


@pytest.mark.parametrize(
    ("status", "version", "is_open", "unreadable"),
    [
        pytest.param("install ok installed", "99", False, [], id="installed and newer than every fix"),
        pytest.param("hold ok installed", "99", False, [], id="on hold is installed"),
        pytest.param("install ok installed", "3.0.1-1", True, [], id="installed and older"),
        pytest.param("install ok half-configured", "99", True, [], id="iF: cut off while configuring (A2)"),
        pytest.param(
            "install reinstreq half-installed", "99", True, [], id="iHR: must be installed again (A2)"
        ),
        pytest.param(
            "install ok installed", "what?", False, ["libssl3"], id="unreadable is said, not hidden (A2)"
        ),
    ],
)
def test_only_a_completely_installed_package_counts(
    tmp_path: Path, status: str, version: str, is_open: bool, unreadable: list[str]
):
    path = tmp_path / "status"
    path.write_text(STANZA.format(status=status, version=version))
    answer = json.loads(run("match", "--dpkg-status", path, "--release", "bookworm", "--json").stdout)
    assert bool(answer["open_advisories"]) is is_open
    assert answer["unreadable"] == unreadable


def test_a_removed_package_is_not_installed(tmp_path: Path):
    path = tmp_path / "status"
    removed = STANZA.format(status="deinstall ok config-files", version="1")
    path.write_text(
        removed + "\n" + STANZA.format(status="install ok installed", version="99").replace("ssl", "x")
    )
    answer = json.loads(run("match", "--dpkg-status", path, "--release", "bookworm", "--json").stdout)
    assert (answer["packages"], answer["open_advisories"]) == (1, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "no installed package", id="an empty file"),
        pytest.param(b"<html>\n", "line 1: a stanza without Package and Status", id="a page"),
        pytest.param(b"Package: a\nStatus: installed\n", "three words", id="a status of one word"),
        pytest.param(
            b"Package: ../a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n",
            "is no package",
            id="a path",
        ),
        pytest.param(
            STANZA.format(status="install ok installed", version="1").encode(),
            "name it with --release",
            id="no release",
        ),
        pytest.param(
            gzip.compress(b"Package: a\n" * 1000)[:-20], "damaged or cut off", id="a truncated archive"
        ),
    ],
)
def test_a_status_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, why: str):
    path = tmp_path / "status"
    path.write_bytes(content)
    error = run("match", "--dpkg-status", path).exception
    assert isinstance(error, InputError)
    assert str(path) in str(error)
    assert why in str(error)


def test_a_directory_without_advisories_says_what_belongs_there(tmp_path: Path):
    error = run("match", "--dpkg-status", STATUS, "--data", tmp_path).exception
    assert isinstance(error, InputError)
    assert "advisories*.jsonl*" in str(error)


def test_a_broken_feed_is_named(tmp_path: Path):
    (tmp_path / "advisories.jsonl").write_text("{")
    error = run("match", "--dpkg-status", STATUS, "--data", tmp_path).exception
    assert isinstance(error, FeedError)
    assert "advisories.jsonl: line 1: " in str(error)


def test_statements_about_versions_are_checked(tmp_path: Path):
    path = tmp_path / "statements"
    path.write_text(
        "# a comment\n1.0 lt 1.1\n1.0~rc1 < 1.0  # before\n1:0 > 9\n\n2 eq 3\nwhat? le 1\n1 != 2\n0 >= 0\n"
    )
    result = run("versions", "check", path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "checked": 7,
        "mismatches": 1,
        "unknown": 1,
        "wrong": [{"line": 6, "statement": "2 eq 3", "found": "less"}],
    }
    assert run("versions", "check", path).stdout == (
        "line 6: 2 eq 3: the first is less\n7 checked, 1 mismatches, 1 unknown\n"
    )


def test_statements_that_hold_end_with_success(tmp_path: Path):
    path = tmp_path / "statements"
    path.write_text("1 lt 2\n1 le 1\n1 eq 1.0\n2 ne 1\n2 ge 2\n2 gt 1\n".replace("1.0", "01"))
    assert run("versions", "check", path).exit_code == 0


@pytest.mark.parametrize("line", ["1 lt", "1 like 2", "1 lt 2 3"])
def test_a_line_that_is_no_statement_is_named(tmp_path: Path, line: str):
    path = tmp_path / "statements"
    path.write_text(f"1 lt 2\n{line}\n")
    error = run("versions", "check", path).exception
    assert isinstance(error, ForestallError)
    assert f"{path}: line 2: " in str(error)
