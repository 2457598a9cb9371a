"""`forestall-agent tuf`: the interface of the public conformance suite, on a repository of our own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from laboratory.forger import Shelf, served
from laboratory.office import Office

from forestall.clock import utc_now
from forestall.trust.documents import write
from forestall.trust.metadata import read_root, signed_by
from forestall.trust.roles import Role
from trust.papers import ORDER, PATH, approve

AGENT = Path(sys.executable).parent / "forestall-agent"


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    office = Office(tmp_path / "company", utc_now())
    office.sign([ORDER], [approve(ORDER)], utc_now())
    (tmp_path / "root.json").write_bytes(office.repository.root(1))
    with served(Shelf(office.repository.directory)) as shelf:
        yield shelf


def run(tmp_path: Path, shelf: Shelf, *command: str, name: str = PATH) -> subprocess.CompletedProcess[str]:
    """Call it as the suite does: options first, the verb last."""
    options = {
        "--metadata-dir": str(tmp_path / "metadata"),
        "--metadata-url": f"{shelf.url}/metadata/",
        "--target-name": name,
        "--target-dir": str(tmp_path / "targets"),
        "--target-base-url": f"{shelf.url}/targets/",
    }
    words = [word for pair in options.items() for word in pair]
    return subprocess.run([AGENT, "tuf", *words, *command], capture_output=True, text=True, check=False)


def begin(tmp_path: Path, shelf: Shelf) -> None:
    assert run(tmp_path, shelf, "init", str(tmp_path / "root.json")).returncode == 0


def fetched(tmp_path: Path) -> list[bytes]:
    return [path.read_bytes() for path in (tmp_path / "targets").glob("[!.]*") if path.is_file()]


def test_a_target_is_downloaded_once_and_kept(tmp_path: Path, shelf: Shelf) -> None:
    begin(tmp_path, shelf)
    assert shelf.asked == []
    assert run(tmp_path, shelf, "download").returncode == 0
    assert fetched(tmp_path) == [write(ORDER)]
    asked = len([path for path in shelf.asked if "/targets/" in path])
    assert run(tmp_path, shelf, "download").returncode == 0
    assert len([path for path in shelf.asked if "/targets/" in path]) == asked == 1


def test_a_refresh_keeps_the_four_lists_under_plain_names(tmp_path: Path, shelf: Shelf) -> None:
    begin(tmp_path, shelf)
    assert run(tmp_path, shelf, "refresh").returncode == 0
    assert [path.rpartition("/")[2] for path in shelf.asked] == [
        "2.root.json", "timestamp.json", "2.snapshot.json", "1.targets.json",
    ]  # fmt: skip
    names = {path.name for path in (tmp_path / "metadata").glob("*.json")}
    assert names == {"root.json", "timestamp.json", "snapshot.json", "targets.json"}


def test_a_download_that_broke_off_goes_on_where_it_stopped(tmp_path: Path, shelf: Shelf) -> None:
    begin(tmp_path, shelf)
    shelf.cut_at = 100
    broken = run(tmp_path, shelf, "download")
    assert broken.returncode == 1
    assert "unreachable" in broken.stderr
    assert fetched(tmp_path) == []
    shelf.cut_at = None
    assert run(tmp_path, shelf, "download").returncode == 0
    assert shelf.ranges == ["bytes=100-"]
    assert (tmp_path / "targets" / PATH.replace("/", "%2F")).read_bytes() == write(ORDER)


def test_a_beginning_that_a_liar_sent_costs_one_more_try(tmp_path: Path, shelf: Shelf) -> None:
    begin(tmp_path, shelf)
    genuine = next(path for path in shelf.genuine() if "openssl-1" in path)
    shelf.forged, shelf.cut_at = {genuine: b"x" * len(write(ORDER))}, 100
    assert run(tmp_path, shelf, "download").returncode == 1
    shelf.forged, shelf.cut_at = {}, None
    assert run(tmp_path, shelf, "download").returncode == 0
    assert fetched(tmp_path) == [write(ORDER)]


REFUSED = [
    pytest.param("orders/none.json", {}, "not-named", id="a target that no list names"),
    pytest.param(PATH, {"targets": write(ORDER)[::-1]}, "altered", id="a target that was changed"),
    pytest.param(PATH, {"targets": b" " * 9_000}, "too-long", id="a target that does not end"),
    pytest.param(PATH, {"timestamp": b"{}"}, "malformed", id="a timestamp that is none"),
]


@pytest.mark.parametrize(("name", "forged", "reason"), REFUSED)
def test_what_is_wrong_ends_with_1_and_its_reason(
    tmp_path: Path, shelf: Shelf, name: str, forged: dict[str, bytes], reason: str
) -> None:
    begin(tmp_path, shelf)
    for part, content in forged.items():
        shelf.forged |= {path: content for path in shelf.genuine() if part in path and "openssl-1" in path}
        if part == "timestamp":
            shelf.forged["metadata/timestamp.json"] = content
    done = run(tmp_path, shelf, "download", name=name)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert fetched(tmp_path) == []


def test_a_repository_without_consistent_snapshots_is_read_by_plain_names(tmp_path: Path) -> None:
    office = Office(tmp_path / "company", utc_now())
    office.sign([ORDER], [approve(ORDER)], utc_now())
    root = read_root(office.root).signed
    root.consistent_snapshot = False
    (tmp_path / "root.json").write_bytes(signed_by(root, office.keys(Role.ROOT)))
    shelf = Shelf(tmp_path)
    for role in Role:
        shelf.forged[f"metadata/{role}.json"] = office.repository.newest(role)
    shelf.forged[f"targets/{PATH}"] = write(ORDER)
    with served(shelf):
        begin(tmp_path, shelf)
        assert run(tmp_path, shelf, "download").returncode == 0
    assert fetched(tmp_path) == [write(ORDER)]


def test_a_root_that_is_none_is_refused_without_asking_anybody(tmp_path: Path, shelf: Shelf) -> None:
    (tmp_path / "root.json").write_text('{"signed": {}}')
    begin(tmp_path, shelf)
    assert run(tmp_path, shelf, "refresh").returncode == 1
    assert shelf.asked == []
