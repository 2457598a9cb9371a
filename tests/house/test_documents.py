"""The documents and the program say the same."""

import importlib
import pkgutil
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

import pages
from forestall import domain

ROOT = Path(__file__).resolve().parents[2]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
PARAGRAPH = re.compile(r"^- \*\*([PA]\d+(?:\.\d+)?)\b", re.MULTILINE)


def paragraphs() -> list[str]:
    return PARAGRAPH.findall(pages.PROCESS.read_text())


def closed_lists() -> Iterator[type[StrEnum]]:
    for module in pkgutil.iter_modules(domain.__path__, "forestall.domain."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, StrEnum) and value.__module__ == module.name:
                yield value


def test_every_paragraph_of_the_process_is_there_once_and_without_gaps():
    found = paragraphs()
    assert [number for number, times in Counter(found).items() if times > 1] == []
    for chapter, last in {
        "P1": 4,
        "P2": 5,
        "P3": 4,
        "P4": 4,
        "P5": 5,
        "P6": 5,
        "P7": 2,
        "P8": 5,
        "P9": 2,
        "P10": 3,
    }.items():
        assert [n for n in found if n.startswith(f"{chapter}.")] == [
            f"{chapter}.{n}" for n in range(1, last + 1)
        ]
    assert [n for n in found if n[0] == "A"] == [f"A{n}" for n in range(1, 19)]


def test_code_and_tests_cite_only_paragraphs_that_exist():
    known = {*paragraphs(), *(f"P{n}" for n in range(1, 11))}
    cited = {
        (path.name, number)
        for folder in ("src", "tests", "laboratory", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md"}
        for number in re.findall(r"(?<![\w/.-])([PA]\d{1,2}(?:\.\d{1,2})?)(?![\w./-])", path.read_text())
        if number.startswith(("P", "A"))
    }
    assert sorted(each for each in cited if each[1] not in known) == []


def test_the_process_page_carries_the_rules_of_the_program():
    assert pages.PROCESS.read_text() == pages.process_page(), "run .venv/bin/python scripts/pages.py"


def test_the_page_of_commands_is_what_the_programs_say():
    assert pages.COMMANDS.read_text() == pages.commands_page(), "run .venv/bin/python scripts/pages.py"


def test_every_command_and_every_option_says_what_it_does():
    text = pages.commands_page()
    assert re.findall(r"^## .*\n\n\n", text, re.MULTILINE) == []
    assert re.findall(r"^\| `[^`]*` \|  ?(?:\(required\) )?\|$", text, re.MULTILINE) == []


@pytest.mark.parametrize("words", [*closed_lists()], ids=lambda words: f"{words.__module__}.{words.__name__}")
def test_the_glossary_has_every_word_of(words):
    rows = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    row = " ".join(row for row in rows if re.match(rf"\| `(?:\w+\.)?{words.__name__}`", row))
    assert [word.value for word in words if f"`{word}`" not in row] == []


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_number_and_three_headings(decision):
    text = decision.read_text()
    assert text.startswith(f"# {int(decision.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_decisions_are_numbered_without_gaps():
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_architecture_names_every_layer_and_stays_short():
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = [name for row in contracts[0]["layers"] for name in row.split(" | ")]
    assert [name for name in layers if f"`{name}" not in ARCHITECTURE] == []
    assert len(ARCHITECTURE.splitlines()) <= 200


def test_what_the_architecture_points_at_exists():
    """`path.py:function` names something that this file defines."""
    wrong = []
    for path, name in re.findall(r"`([\w./]+\.py)(?::(\w+))?`", ARCHITECTURE):
        file = next(
            (root / path for root in (ROOT, ROOT / "src" / "forestall") if (root / path).exists()), None
        )
        defined = rf"^(?:(?:async )?def |class )?{name}\b"
        if file is None or not re.search(defined, file.read_text(), re.MULTILINE):
            wrong.append(f"{path}:{name}")
    assert wrong == []


def test_links_between_documents_lead_somewhere():
    pages_of_ours = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    wrong = [
        (page.name, target)
        for page in pages_of_ours
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert wrong == []
