"""docs/agent-protocol.md says what the program does: the same rules in the same order, every field named."""

import re
from pathlib import Path

from forestall import protocol
from forestall.domain.order import RULES

PAGE = (Path(__file__).parents[2] / "docs/agent-protocol.md").read_text()


def test_the_page_has_the_agents_rules_in_their_order() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([PA][0-9.]+) \|", PAGE, re.MULTILINE)
    assert rows == [(rule.name, rule.paragraph) for rule in RULES]


def test_the_page_names_every_field_of_a_check_in() -> None:
    fields = {*protocol.CheckIn.__struct_fields__, *protocol.OrderState.__struct_fields__}
    fields |= set(protocol.CheckInAnswer.__struct_fields__)
    assert sorted(field for field in fields if f"`{field}`" not in PAGE) == []


def test_the_page_names_every_endpoint() -> None:
    for path in (
        protocol.AUTHORITY,
        protocol.ENROL,
        protocol.RENEW,
        protocol.CHECK_IN,
        protocol.INVENTORY,
        protocol.WAKE,
    ):
        assert path in PAGE
