"""Every paragraph of the process that decides is cited by a row, a step or a number, and proven by a test.

Whoever adds a paragraph to the process says here what it is: one that decides, one that the program carries out in
another way, or one that a later step will build.
"""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from forestall.domain import order
from forestall.domain.admission import DOOR
from forestall.domain.campaign import TRANSITIONS
from forestall.domain.plan import RULES
from forestall.domain.policy import Policy
from forestall.domain.testing import GATES
from forestall.domain.trial import VERDICTS

ROOT = Path(__file__).resolve().parents[2]
PARAGRAPHS = re.findall(
    r"^- \*\*([PA]\d+(?:\.\d+)?)\b", (ROOT / "docs" / "process.md").read_text(), re.MULTILINE
)

DECIDES = [
    "P3.1", "P3.2", "P3.3", "P4.1", "P4.2", "P4.3", "P4.4",
    "P5.2", "P5.3", "P5.4", "P6.1", "P6.2", "P6.3", "P6.4", "P6.5",
    "P7.1", "P7.2", "P8.1", "P8.2", "P8.3", "P8.4", "P8.5",
    "A1", "A2", "A4", "A5", "A6", "A7", "A8", "A9", "A11", "A13", "A14", "A15", "A18",
]  # fmt: skip

CARRIED_OUT = {
    "P1.1": "feeds",
    "P1.2": "feeds and matching join what sources say of one flaw",
    "P1.3": "metrics count from publication",
    "P2.1": "a person rates; the command records it",
    "P2.2": "the level table",
    "P2.3": "the level table",
    "P2.4": "the level table",
    "P2.5": "Campaign.pushed",
    "P3.4": "metrics count the 72 hours from the hand-over",
    "P5.1": "Device.managed",
    "P10.1": "metrics",
    "P10.2": "metrics",
    "A3": "metrics and the agent's table",
    "A12": "the ledger's chain, intents, and the brake of a restored server",
}

LATER = {
    "P1.4": "step 3: remediations that are no package updates",
    "P5.5": "step 3: the native updater is silenced",
    "A10": "step 3: signed orders",
    "P9.1": "isolation of managed from unmanaged machines",
    "P9.2": "isolation of managed from unmanaged machines",
    "P10.3": "the console",
    "A16": "the forecast",
    "A17": "two policies side by side",
}

CITED = {
    *(row.paragraph for row in (*RULES, *DOOR, *VERDICTS, *GATES, *order.RULES)),
    *(paragraph for _, paragraph in TRANSITIONS.values()),
    *(each.metadata["paragraph"] for each in fields(Policy)),
}


def named_in(folder: str) -> set[str]:
    texts = [path.read_text() for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
    return {
        number for text in texts for number in re.findall(r"(?<![\w.])[PA]\d{1,2}(?:\.\d)?(?![\w.]*\d)", text)
    }


def test_every_paragraph_has_its_place():
    assert sorted([*DECIDES, *CARRIED_OUT, *LATER]) == sorted(PARAGRAPHS)


@pytest.mark.parametrize("paragraph", DECIDES)
def test_a_paragraph_that_decides_is_cited_by_a_row_a_step_or_a_number(paragraph: str):
    assert paragraph in CITED


def test_every_row_step_and_number_cites_a_paragraph_that_exists():
    assert sorted(CITED - set(PARAGRAPHS)) == []


def test_a_paragraph_that_a_later_step_builds_decides_nothing_yet():
    assert CITED & LATER.keys() == set()


def test_every_paragraph_that_decides_is_proven_by_a_test():
    tested = named_in("tests")
    assert [number for number in DECIDES if number not in tested] == []


def test_what_is_carried_out_otherwise_is_named_where_it_is_done():
    """P2.3 is the middle of “P2.2-P2.4”."""
    assert CARRIED_OUT.keys() - named_in("src") == {"P2.3"}
