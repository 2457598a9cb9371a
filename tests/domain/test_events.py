"""The ledger's chain (A12): any edit, deletion, reordering or truncation is found, and at which entry."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.made import HOUR, START
from forestall.domain.events import (
    EMPTY,
    GENESIS,
    Entry,
    Event,
    EventKind,
    Flaw,
    Head,
    JsonValue,
    chain,
    entry_hash,
    verify,
)

TOKYO = timezone(timedelta(hours=9))

values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
texts = st.text(max_size=8)
events = st.builds(
    Event,
    st.sampled_from(EventKind),
    texts,
    texts,
    texts,
    texts,
    texts,
    st.none() | st.dictionaries(st.text(max_size=5), values, max_size=3),
)


def ledger(recorded: list[Event]) -> list[Entry]:
    """Appended in two batches, as in life."""
    half = len(recorded) // 2
    first = chain(recorded[:half], START, 0, GENESIS)
    last = first[-1] if first else None
    head = Head(last.sequence, last.hash) if last else EMPTY
    return [*first, *chain(recorded[half:], START + HOUR, head.sequence, head.hash)]


ledgers = st.lists(events, min_size=1, max_size=8).map(ledger)


def heads(entries: list[Entry]) -> list[Head]:
    return [Head(entry.sequence, entry.hash) for entry in entries]


@given(st.lists(events, max_size=8).map(ledger), st.data())
def test_an_untouched_ledger_verifies_also_against_heads_kept_elsewhere(
    entries: list[Entry], data: st.DataObject
):
    kept = data.draw(st.lists(st.sampled_from(heads(entries)), max_size=3)) if entries else []
    assert verify(entries) is None
    assert verify(entries, [EMPTY, *kept]) is None
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))


EVENT_EDITS: dict[str, Callable[[Event], Any]] = {
    "kind": lambda event: EventKind.HALTED if event.kind is not EventKind.HALTED else EventKind.RESUMED,
    "actor": lambda event: event.actor + "x",
    "subject": lambda event: event.subject + " ",
    "campaign": lambda event: event.campaign + "c",
    "rule": lambda event: event.rule + "r",
    "paragraph": lambda event: event.paragraph + "1",
    "body": lambda event: {} if event.body is None else {**event.body, "added": None},
}
ENTRY_EDITS: dict[str, Callable[[Entry], Any]] = {
    "sequence": lambda entry: entry.sequence + 1,
    "at": lambda entry: entry.at + timedelta(microseconds=1),
    "event": lambda entry: replace(entry.event, actor=entry.event.actor + "x"),
    "previous": lambda entry: entry.hash,
    "hash": lambda entry: entry.hash[::-1] if entry.hash != entry.hash[::-1] else "0" * 64,
}


def test_every_field_is_edited_below():
    """A field left out of the hash would be a field one can change."""
    assert set(EVENT_EDITS) == {each.name for each in fields(Event)}
    assert set(ENTRY_EDITS) == {each.name for each in fields(Entry)}


@given(ledgers, st.data(), st.sampled_from([*EVENT_EDITS, *ENTRY_EDITS]))
def test_any_edit_of_one_field_is_found_at_the_entry(entries: list[Entry], data: st.DataObject, name: str):
    index = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[index]
    if name in EVENT_EDITS:
        edited = replace(entry, event=replace(entry.event, **{name: EVENT_EDITS[name](entry.event)}))
    else:
        edited = replace(entry, **{name: ENTRY_EDITS[name](entry)})
    flaw = verify([*entries[:index], edited, *entries[index + 1 :]])
    assert flaw is not None
    assert flaw.sequence == entry.sequence


def test_an_instant_told_in_another_zone_is_an_edit_as_well():
    entries = ledger([Event(EventKind.RATED, "aiko", "u1")])
    moved = replace(entries[0], at=entries[0].at.astimezone(TOKYO))
    assert verify([moved]) == Flaw(1, "was changed: its content does not give its hash")


@given(ledgers, st.data())
def test_a_deletion_is_found_where_the_entry_was(entries: list[Entry], data: st.DataObject):
    index = data.draw(st.integers(0, len(entries) - 1))
    remaining = [*entries[:index], *entries[index + 1 :]]
    flaw = verify(remaining, heads(entries[-1:]))
    assert flaw is not None
    assert flaw.sequence == entries[index].sequence


@given(ledgers, st.data())
def test_two_entries_that_changed_places_are_found_at_the_first(entries: list[Entry], data: st.DataObject):
    assume(len(entries) > 1)
    one, two = sorted(
        data.draw(st.lists(st.integers(0, len(entries) - 1), min_size=2, max_size=2, unique=True))
    )
    entries[one], entries[two] = entries[two], entries[one]
    flaw = verify(entries)
    assert flaw is not None
    assert flaw.sequence == one + 1


@given(ledgers, st.data())
def test_an_entry_told_twice_is_found(entries: list[Entry], data: st.DataObject):
    index = data.draw(st.integers(0, len(entries) - 1))
    flaw = verify([*entries[: index + 1], *entries[index:]])
    assert flaw is not None
    assert flaw.sequence == index + 2


@given(ledgers, st.integers(0, 7))
def test_a_ledger_cut_short_is_found_by_whoever_kept_a_head(entries: list[Entry], left: int):
    """Nothing inside a shortened chain tells; a head kept elsewhere does."""
    assume(left < len(entries))
    cut = entries[:left]
    assert verify(cut) is None
    flaw = verify(cut, heads(entries[-1:]))
    assert flaw is not None
    assert (flaw.sequence, str(len(entries)) in flaw.why) == (left + 1, True)


@given(ledgers, st.data())
def test_a_ledger_rewritten_with_matching_hashes_is_found_at_the_head_that_was_kept(
    entries: list[Entry], data: st.DataObject
):
    """Who can write the whole table can make a chain that verifies; not one that gives the old hashes."""
    index = data.draw(st.integers(0, len(entries) - 1))
    kept = data.draw(st.integers(index, len(entries) - 1))
    told = [entry.event for entry in entries]
    told[index] = replace(told[index], actor=told[index].actor + "x")
    rewritten = ledger(told)
    assert verify(rewritten) is None
    flaw = verify(rewritten, [Head(entries[kept].sequence, entries[kept].hash)])
    assert flaw == Flaw(kept + 1, "is not the entry whose hash was kept elsewhere")


def test_two_heads_kept_for_one_entry_must_both_be_right():
    """The server told two keepers two stories."""
    entries = ledger([Event(EventKind.RATED, "aiko", "u1")])
    wrong = Head(1, "f" * 64)
    for kept in ([wrong, *heads(entries)], [*heads(entries), wrong]):
        assert verify(entries, kept) == Flaw(1, "is not the entry whose hash was kept elsewhere")


def test_an_empty_ledger_is_whole_unless_somebody_remembers_an_entry():
    assert verify([]) is None
    assert verify([], [Head(3, "f" * 64)]) == Flaw(1, "cut off: a head kept elsewhere names entry 3")


def test_the_hash_is_the_one_that_was_written_down():
    """A ledger of today must verify in ten years: whoever changes the form breaks every chain there is."""
    event = Event(
        EventKind.INTENDED, "scheduler", "d1", "c1", "quarantine", "P6.4", {"ん": [1, 2.5, None, True]}
    )
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert (
        entry_hash(7, at, event, GENESIS)
        == "2de27be01e53efd0782c99514522030d64bf0fa9b237e0e2f85bad0703950df7"
    )


def test_a_number_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        entry_hash(1, START, Event(EventKind.RATED, "a", "b", body={"x": float("nan")}), GENESIS)
