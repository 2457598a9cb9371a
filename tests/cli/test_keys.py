"""`forestall keys`: a ceremony, how keys stand, a folder signed without a server, a key replaced."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from laboratory.office import approval_for

from forestall.clock import utc_now
from forestall.trust.repository import Repository
from forestall.trust.travel import Folder
from trust.papers import ORDER

FORESTALL = Path(sys.executable).parent / "forestall"


@pytest.fixture
def word(tmp_path: Path) -> Path:
    path = tmp_path / "word"
    path.write_text("a long enough passphrase\n")
    return path


def keys(tmp_path: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FORESTALL_DATA": str(tmp_path / "data"), "TERM": "dumb"}
    return subprocess.run(
        [FORESTALL, "keys", *arguments], capture_output=True, text=True, check=False, env=environment
    )


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def place(tmp_path: Path, word: Path) -> Path:
    """The folder of a ceremony."""
    made = told(keys(tmp_path, "ceremony", "--machines", "12000", "--passphrase-file", word, "--json"))
    assert len(made["keys"]) == 12
    return Path(made["folder"])


def test_a_ceremony_leaves_keys_apart_and_says_how_they_stand(tmp_path: Path, place: Path) -> None:
    assert {path.name for path in place.iterdir()} == {"offline", "online", "repository"}
    assert "machines = 12000" in (place / "online/caps.toml").read_text()
    assert all(path.stat().st_mode & 0o077 == 0 for path in place.rglob("*.pem"))
    found = told(keys(tmp_path, "status", "--json"))
    assert (found["development"], found["root_version"], found["approved"]) == (False, 1, 0)
    assert [role["role"] for role in found["roles"]][:3] == ["root", "targets", "remediations"]
    assert "2 of 3" in keys(tmp_path, "status").stdout


def test_a_development_ceremony_is_marked_as_one(tmp_path: Path) -> None:
    made = told(keys(tmp_path, "ceremony", "--development", "--json"))
    assert (Path(made["folder"]) / "development-passphrase").stat().st_mode & 0o077 == 0
    assert told(keys(tmp_path, "status", "--json"))["development"]
    assert "DEVELOPMENT KEYS" in keys(tmp_path, "status").stdout


def test_a_folder_is_signed_by_one_holder_after_the_other_without_a_server(
    tmp_path: Path, place: Path, word: Path
) -> None:
    stick = Folder(tmp_path / "stick")
    stick.pack(Repository(place / "repository"))
    stick.propose([approval_for(ORDER)], [], utc_now())
    for number, missing in ((1, 1), (3, 0)):
        key = place / "offline" / f"remediations-{number}.pem"
        done = told(
            keys(tmp_path, "sign", stick.path, "--keys", key, "--passphrase-file", word, "--yes", "--json")
        )
        assert [role for role, _ in done["signed"]] == ["remediations"]
        assert done["missing"] == {"remediations": missing}


def test_nothing_is_signed_without_a_yes_and_people_see_what_they_sign(
    tmp_path: Path, place: Path, word: Path
) -> None:
    stick = Folder(tmp_path / "stick")
    stick.pack(Repository(place / "repository"))
    stick.propose([approval_for(ORDER)], [], utc_now())
    key = place / "offline" / "remediations-1.pem"
    done = keys(tmp_path, "sign", stick.path, "--keys", key, "--passphrase-file", word)
    assert done.returncode == 1
    assert "bookworm/openssl/3.0.22-1~deb12u2" in done.stdout
    assert stick.asked()[0].missing == 2


def test_a_lost_key_is_replaced_from_the_command_line(tmp_path: Path, place: Path, word: Path) -> None:
    holders = told(keys(tmp_path, "status", "--json"))["roles"][2]["keys"]
    options = (
        "--lost",
        holders[0][:10],
        "--new-key",
        tmp_path / "new.pem",
        "--passphrase-file",
        word,
        "--json",
    )
    done = told(keys(tmp_path, "rotate", tmp_path / "stick", "remediations", *options))
    assert done["missing"] == {"targets": 2, "remediations": 2}
    assert (tmp_path / "new.pem").exists()


WRONG = [
    pytest.param(
        ("ceremony", "--passphrase-file", "WORD"), "not empty", id="a second ceremony in the same place"
    ),
    pytest.param(
        ("ceremony", "--development"), "never overwritten", id="a development ceremony over a real one"
    ),
    pytest.param(("sign", "nowhere", "--yes"), "no travelling folder", id="a folder that is none"),
    pytest.param(
        ("rotate", "stick", "root", "--lost", "zz", "--new-key", "k.pem", "--passphrase-file", "WORD"),
        "0 keys of root begin with",
        id="a key that nobody holds",
    ),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_what_goes_wrong_is_said_in_a_sentence(
    tmp_path: Path, place: Path, word: Path, arguments: tuple[str, ...], said: str
) -> None:
    names = {
        "nowhere": tmp_path / "nowhere",
        "stick": tmp_path / "stick",
        "k.pem": tmp_path / "k.pem",
        "WORD": word,
    }
    done = keys(tmp_path, *(names.get(each, each) for each in arguments))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert place.exists()


def test_status_without_a_ceremony_says_what_to_do(tmp_path: Path) -> None:
    done = keys(tmp_path, "status")
    assert done.returncode == 1
    assert "forestall keys ceremony" in done.stderr
