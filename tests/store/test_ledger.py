"""The ledger: append-only, chained, and a row that somebody changed is caught at its entry (A12)."""

# ruff: noqa: E501 - a table reads best one row a line

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from domain.made import START
from forestall.domain.errors import StoreError
from forestall.domain.events import EMPTY, Event, EventKind, Head, JsonValue
from forestall.server.ledger_file import check_database, check_file, write_ledger
from forestall.store import ledger
from forestall.store.database import Database
from store.made import in_database

EVENTS = [
    Event(
        EventKind.RATED, "aiko", f"bookworm/openssl/{n}", paragraph="P2.1", body={"level": "critical", "n": n}
    )
    for n in range(5)
]


def filled(database: Database, events: Sequence[Event] = EVENTS) -> Head:
    with database.begin() as con:
        return ledger.append(con, events, START)


def tampered(database: Database, statement: str) -> None:
    """Change the ledger as an administrator of the database could."""
    with database.begin() as con:
        con.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        con.execute(text(statement))
        con.execute(text("ALTER TABLE ledger ENABLE TRIGGER ledger_is_append_only"))


def test_what_is_appended_is_read_back_in_order(database: Database):
    head = filled(database)
    with database.begin() as con:
        entries = ledger.read(con)
        assert list(ledger.read_all(con, page=2)) == entries
        assert ledger.head(con) == head == Head(5, entries[-1].hash)
        assert ledger.read(con, after=3) == entries[3:]
        assert ledger.about(con, subject="bookworm/openssl/2") == [entries[2]]
        assert ledger.about(con, limit=2) == entries[-2:]
    assert [entry.event for entry in entries] == EVENTS
    assert {entry.at for entry in entries} == {START}


def test_nothing_to_append_is_nothing(database: Database):
    with database.begin() as con:
        assert ledger.append(con, [], START) == EMPTY
    assert check_database(database, []).entries == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@in_database
@given(
    body=st.dictionaries(st.text('aé漢\n"\\', max_size=3), JSON, max_size=3), micros=st.integers(0, 10**12)
)
def test_whatever_a_body_holds_gives_its_hash_again(
    database: Database, body: dict[str, JsonValue], micros: int
):
    with database.begin() as con:
        point = con.begin_nested()
        ledger.append(
            con, [Event(EventKind.DONE, "a", "b", body=body)], START + timedelta(microseconds=micros)
        )
        (entry,) = ledger.read(con)
        assert ledger.chain([entry.event], entry.at, 0, EMPTY.hash) == [entry]
        point.rollback()


def test_many_writers_make_one_chain(database: Database):
    def write(number: int) -> None:
        for _ in range(5):
            filled(database, [Event(EventKind.RATED, f"writer {number}", "x")] * 3)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    checked = check_database(database, [])
    assert (checked.entries, checked.flaw) == (60, None)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ledger SET actor = 'me'", "DELETE FROM ledger WHERE sequence = 5", "TRUNCATE ledger"],
)
def test_the_database_itself_refuses_changes(database: Database, statement: str):
    filled(database)
    with pytest.raises(StoreError, match="the ledger is append-only"), database.begin() as con:
        con.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "sequence", "why"),
    [
        pytest.param("UPDATE ledger SET actor = 'mallory' WHERE sequence = 3", 3, "was changed", id="who did it"),
        pytest.param("UPDATE ledger SET at = at - interval '1 second' WHERE sequence = 3", 3, "was changed", id="when"),
        pytest.param("""UPDATE ledger SET body = '{"level": "caution", "n": 2}' WHERE sequence = 3""", 3, "was changed", id="what"),
        pytest.param("UPDATE ledger SET body = NULL WHERE sequence = 3", 3, "was changed", id="nothing left of it"),
        pytest.param("UPDATE ledger SET kind = 'nonsense' WHERE sequence = 3", 3, "“nonsense” is no kind", id="a kind that does not exist"),
        pytest.param("UPDATE ledger SET kind = 'halted' WHERE sequence = 3", 3, "was changed", id="another kind"),
        pytest.param("UPDATE ledger SET previous = repeat('0', 64) WHERE sequence = 3", 3, "does not follow", id="its predecessor"),
        pytest.param("DELETE FROM ledger WHERE sequence = 3", 3, "missing: the next entry is 4", id="one removed"),
        pytest.param("DELETE FROM ledger WHERE sequence > 3", 4, "cut off", id="the newest removed, with a head kept elsewhere"),
        pytest.param("DELETE FROM ledger", 1, "cut off", id="all removed, with a head kept elsewhere"),
    ],
)  # fmt: skip
def test_a_ledger_that_was_tampered_with_is_caught_at_the_entry(
    database: Database, statement: str, sequence: int, why: str
):
    head = filled(database)
    assert check_database(database, [head]).flaw is None
    tampered(database, statement)
    flaw = check_database(database, [head]).flaw
    assert flaw is not None
    assert (flaw.sequence, why in flaw.why) == (sequence, True), flaw


def test_a_rewritten_end_is_caught_by_a_head_kept_elsewhere(database: Database):
    head = filled(database)
    tampered(database, "DELETE FROM ledger WHERE sequence > 3")
    filled(database, EVENTS[:2])
    assert check_database(database, []).flaw is None, "the chain itself holds"
    flaw = check_database(database, [head]).flaw
    assert flaw is not None
    assert flaw.sequence == 5


def test_an_exported_ledger_verifies_without_the_database(database: Database, tmp_path):
    head = filled(database)
    path = tmp_path / "ledger.jsonl"
    assert write_ledger(database, path) == head
    assert check_file(path, [head]) == check_database(database, [head])
    path.write_text(path.read_text().replace("aiko", "mallory", 1))
    flaw = check_file(path, [head]).flaw
    assert flaw is not None
    assert flaw.sequence == 1
