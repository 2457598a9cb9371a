"""The tables in words: complete, in order, and the process's page in step with them."""

from pathlib import Path

from domain.made import POLICY
from forestall.domain import order, restart, slot
from forestall.domain.admission import DOOR
from forestall.domain.campaign import TRANSITIONS
from forestall.domain.duration import parse_duration
from forestall.domain.plan import RULES
from forestall.domain.printout import (
    AGENT_FACTS,
    FACTS,
    RESTART_FACTS,
    SLOT_FACTS,
    agent_lines,
    door_lines,
    in_words,
    markdown,
    moves,
    numbers,
    restart_lines,
    rule_lines,
    slot_lines,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "process.md"


def test_every_row_is_there_in_order():
    assert [line.name for line in rule_lines()] == [rule.name for rule in RULES]
    assert [line.name for line in door_lines()] == [rule.name for rule in DOOR]
    assert [line.name for line in agent_lines()] == [rule.name for rule in order.RULES]
    assert [line.name for line in restart_lines()] == [rule.name for rule in restart.RULES]
    assert [line.name for line in slot_lines()] == [rule.name for rule in (*slot.STARTING, *slot.PROVING)]
    assert [(move.phase, move.step) for move in moves()] == list(TRANSITIONS)


def test_a_row_reads_like_a_sentence():
    words = {line.name: line.when for line in rule_lines()}
    assert words["release-fixed"] == "off the network, fixed or not affected"
    assert words["force"] == "managed, its agent obeys, the deadline has passed, online, not forced lately"
    assert words["quarantine"] == "otherwise"


def test_two_facts_never_read_the_same():
    for facts in (FACTS, AGENT_FACTS, RESTART_FACTS, SLOT_FACTS):
        said = [words for pair in facts.values() for words in pair]
        assert len(set(said)) == len(said)


def test_rows_that_differ_read_differently():
    assert len({in_words(rule.when) for rule in RULES}) == len(
        {str(sorted(rule.when.items(), key=str)) for rule in RULES}
    )


def test_numbers_read_as_a_policy_file_takes_them():
    shown = {number.name: number.value for number in numbers(POLICY)}
    assert parse_duration(shown["voluntary_period"]) == POLICY.voluntary_period
    assert (shown["goal"], shown["second_person"], shown["bakes"]) == ("0.99", "true", "1h, 1h, 2h")


def test_the_page_of_the_process_carries_these_tables():
    page = PAGE.read_text(encoding="utf-8")
    block = page.split("<!-- rules:begin -->\n")[1].split("\n<!-- rules:end -->")[0]
    assert block == markdown(), "run .venv/bin/python scripts/pages.py"
