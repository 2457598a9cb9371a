"""Sources come in and only propose: a broken one leaves its last good copy in force and says which, where, why."""

# ruff: noqa: E501 - a table reads best one row a line

import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from domain.made import DAY, HOUR, START
from forestall.domain.advisory import AdvisoryId
from forestall.domain.errors import InputError
from forestall.domain.events import EventKind
from forestall.server.catalogue import Pulled, catalogue, load_bundle, pull, pull_due
from forestall.store import feeds, ledger
from forestall.store.database import Database


def line(number: int, fixed: str = "1.0") -> str:
    affected = [{"release": "bookworm", "source": "openssl", "fixed": fixed}]
    return json.dumps(
        {"id": f"DSA-{number}-1", "date": "2026-08-07", "title": "t", "cves": [], "affected": affected}
    )


def lines(count: int, **other: str) -> str:
    return "".join(f"{line(number)}\n" for number in range(1, count + 1))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of forty good advisories."""
    path = tmp_path / "advisories.jsonl"
    path.write_text(lines(40))
    return path


def read(database: Database, path: Path, now: datetime = START) -> Pulled:
    (report,) = pull(database, str(path), now)
    return report


def known(database: Database) -> set[AdvisoryId]:
    return {advisory.id for advisory in catalogue(database).advisories}


def test_a_good_file_is_in_force_and_on_record(database: Database, source: Path):
    report = read(database, source)
    assert (report.records, report.refused, report.trouble) == (40, (), "")
    assert len(known(database)) == 40
    with database.begin() as con:
        state = feeds.states(con)[report.feed]
        (entry,) = ledger.read(con)
    assert (state.last_good_at, state.records, state.last_error) == (START, 40, "")
    assert (entry.event.kind, entry.event.body) == (EventKind.FEED_LOADED, {"records": 40, "refused": 0})


def mangled(change: Callable[[str], str]) -> bytes:
    return change(lines(40)).encode()


DEEP = '{"id": ' + "[" * 200_000
BROKEN = [
    pytest.param(mangled(lambda text: text[:-20]), "line 40: ", id="truncated in its last record"),
    pytest.param(gzip.compress(mangled(str))[:-30], "the archive is damaged or cut off", id="a truncated archive"),
    pytest.param(b"", "there is no record in it", id="empty"),
    pytest.param(mangled(lambda text: text.replace('"id": "DSA-7-1"', '"id": "DSA-7-1", "id": "DSA-8-1"')), "line 7: not usable as JSON: the key 'id' appears twice", id="a key twice"),
    pytest.param(mangled(lambda text: text.replace("DSA-7-1", "DSA\x00")), "line 7: a NUL byte", id="a NUL byte"),
    pytest.param(mangled(lambda text: text.replace('"title": "t"', '"title": NaN', 1)), "line 1: not usable as JSON: NaN is no number", id="NaN"),
    pytest.param(mangled(lambda text: text + DEEP + "\n"), "line 41: nested too deeply", id="endless nesting"),
    pytest.param(b"\xff\xfe" + mangled(str), "line 1: not UTF-8", id="not text"),
    pytest.param(b"<html><body>503</body></html>\n", "line 1: not usable as JSON", id="a page of a proxy"),
    pytest.param(mangled(lambda text: text.replace('"openssl"', "[1]")), "40 of 40 records cannot be used, first DSA-1-1", id="wrong types everywhere"),
    pytest.param(mangled(lambda text: text.replace('"1.0"', '"<unfixed>"')), "40 of 40 records cannot be used", id="<unfixed> for every version"),
    pytest.param(b"[" * 60_000_000, "larger than 50 MB", id="60 MB of brackets"),
    pytest.param(gzip.compress(b"[" * 100_000_001), "more than 100 MB when unpacked", id="a small archive of 100 MB of brackets"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "why"), BROKEN)
def test_a_broken_file_leaves_the_last_good_copy_in_force(
    database: Database, source: Path, content: bytes, why: str
):
    name = read(database, source).feed
    before = known(database)
    source.write_bytes(content)
    report = read(database, source, START + HOUR)
    assert str(source) in report.trouble
    assert why in report.trouble
    assert report.trouble.endswith("the last good copy stays in force")
    assert known(database) == before
    with database.begin() as con:
        state = feeds.states(con)[name]
        last = ledger.read(con)[-1].event
    assert (state.last_good_at, state.records, state.last_error_at) == (START, 40, START + HOUR)
    assert why in state.last_error
    assert (last.kind, last.subject) == (EventKind.FEED_REFUSED, name)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(line(7, "<unfixed>"), "line 7: '<unfixed>' is no version", id="no version"),
        pytest.param(line(7).replace('"cves": []', '"cves": ["CVE-20260-1"]'), "is no CVE id", id="CVE-shaped nonsense"),
        pytest.param(line(7).replace('"2026-08-07"', "7"), "line 7: ", id="a number for a date"),
        pytest.param(line(7).replace('"bookworm"', '"../../etc"'), "is no code name of a release", id="a path for a release"),
    ],
)  # fmt: skip
def test_a_broken_record_is_left_out_and_keeps_its_last_good_copy(
    database: Database, source: Path, bad: str, why: str
):
    read(database, source)
    source.write_text(lines(40).replace(line(7), bad))
    report = read(database, source, START + HOUR)
    assert (report.records, report.trouble) == (39, "")
    (refusal,) = report.refused
    assert refusal.record == "DSA-7-1"
    assert why in refusal.reason
    assert len(known(database)) == 40, "the old DSA-7-1 stays"


def test_a_file_that_shrank_waits_for_a_person(database: Database, source: Path):
    name = read(database, source).feed
    source.write_text(lines(30))
    report = read(database, source, START + HOUR)
    assert report.trouble == "30 records where there were 40: waits for a person"
    assert len(known(database)) == 40
    with database.begin() as con:
        assert feeds.states(con)[name].held == report.trouble


def test_a_file_that_is_gone_leaves_the_last_good_copy_in_force(database: Database, source: Path):
    read(database, source)
    source.unlink()
    assert "the last good copy stays in force" in read(database, source).trouble
    assert len(known(database)) == 40


def test_the_bundle_is_read_once(database: Database):
    first = load_bundle(database, START)
    assert {report.feed for report in first} >= {
        "debian-advisories (bundle)",
        "kev (bundle)",
        "epss (bundle)",
    }
    assert all(report.records and not report.trouble for report in first)
    assert load_bundle(database, START + DAY) == []


def test_a_source_of_ones_own_is_believed_before_the_bundle(database: Database, tmp_path: Path):
    load_bundle(database, START)
    of_the_bundle = catalogue(database).advisories[0]
    path = tmp_path / "advisories.jsonl"
    path.write_text(line(1).replace("DSA-1-1", of_the_bundle.id).replace('"t"', '"ours"') + "\n")
    assert read(database, path).trouble == ""
    found = {advisory.id: advisory.title for advisory in catalogue(database).advisories}
    assert found[of_the_bundle.id] == "ours"


def test_a_directory_is_read_with_all_that_is_in_it(database: Database, tmp_path: Path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "advisories.jsonl").write_text(lines(3))
    (tmp_path / "epss_scores-current.csv").write_text(
        "#model_version:v,score_date:2026-08-07T00:00:00Z\ncve,epss,percentile\nCVE-2026-0001,0.5,0.9\n"
    )
    (tmp_path / "README").write_text("not a source")
    reports = pull(database, str(tmp_path), START)
    assert sorted((report.feed, report.records, report.trouble) for report in reports) == [
        (f"debian-advisories {tmp_path}", 3, ""),
        (f"epss {tmp_path}", 1, ""),
    ]


def test_what_is_no_source_says_what_would_be(database: Database, tmp_path: Path):
    with pytest.raises(
        InputError, match=r"nothing there is a source we know\. Files are told by their names: dsa-list"
    ):
        pull(database, str(tmp_path / "nothing"), START)


def test_a_source_is_read_when_its_interval_has_passed(database: Database, source: Path):
    """P1.1: polled on a schedule, also after a failure."""
    addresses = [str(source), "/nowhere/README"]

    def due(after: timedelta) -> int:
        return len(pull_due(database, addresses, START + after))

    assert (due(timedelta()), due(HOUR / 2), due(HOUR)) == (1, 0, 1)
    source.write_text("{")
    assert (due(2 * HOUR), due(2.5 * HOUR), due(3 * HOUR)) == (1, 0, 1)
    source.write_text(lines(30))
    assert (due(4 * HOUR), due(4.5 * HOUR)) == (1, 0), "held for a person: not asked again at once"


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "https://127.0.0.1/advisories.jsonl", "https://localhost/advisories.jsonl"],
)
def test_an_address_inside_the_company_is_not_fetched(database: Database, address: str):
    """A feed's address comes from a file; it must not reach what only this server can reach."""
    try:
        (report,) = pull(database, address, START)
    except InputError:
        return
    assert report.trouble
    assert known(database) == set()
