"""A Linux gateway or bridge with nftables: sets of addresses that its own rules keep in quarantine.

Only elements of these sets are added and taken out; tables, chains and rules belong to the people who run the machine.
Each element carries its mark as a comment.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import msgspec

from forestall.domain import address
from forestall.network.mark import WORD
from forestall.network.point import Answer, Marked, Plan, Reason, Refusal, Target
from forestall.network.program import run

_LONGEST_COMMENT = 128
"""Of an element, by nftables."""


@dataclass(frozen=True, slots=True)
class NftRules:
    """What the settings say: whose sets, and who we are."""

    name: str
    family: str
    table: str
    sets: Mapping[str, str]
    """Kind of address (`ether_addr`, `ipv4_addr`, `ipv6_addr`) -> name of the set."""
    closed_at_most: int = 50
    ours: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of one set, with its comment."""

    set: str
    value: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One element goes in, out, or gets another mark."""

    element: Element
    present: bool
    replaces: bool = False

    @property
    def text(self) -> str:
        """The command as people read it."""
        verb = "add element" if self.present else "delete element"
        return f"nft {verb} {self.element.set} {self.element.value} “{self.element.comment}”"


@dataclass(frozen=True, slots=True)
class NftSight:
    """The sets as they were read."""

    elements: tuple[Element, ...]
    rules: NftRules

    @property
    def readable(self) -> bool:
        """A set tells who is in it."""
        return True

    @property
    def detail(self) -> str:
        """Count what is there."""
        return f"{len(self.elements)} elements in {', '.join(self.rules.sets.values())}"

    def marks(self) -> tuple[Marked, ...]:
        """List the elements with our mark; what other people added is theirs."""
        return tuple(
            Marked(self.rules.name, f"{element.set} {element.value}", *mark, closed=True)
            for element in self.elements
            if (mark := _mark_of(element.comment)) is not None
        )

    def close(self, target: Target, protected: AbstractSet[str]) -> tuple[Answer, ...]:
        """Plan to put all addresses of a machine into the sets, or say why not."""
        wanted = tuple(_places(target, self.rules))
        values = {value for _, value in wanted}
        if target.protected or values & protected:
            return (self._refuse(Reason.PROTECTED, f"{target.device} is never removed (A8)"),)
        if found := sorted(values & self.rules.ours):
            return (self._refuse(Reason.INFRASTRUCTURE, f"{found[0]} is Forestall or its gateway"),)
        if not wanted:
            return (self._refuse(Reason.NO_ADDRESS, f"no address of {target.device} fits the sets"),)
        there = {(element.set, element.value): element for element in self.elements}
        changes = tuple(_added(place, there.get(place), target) for place in wanted)
        foreign = next((each.element for each in changes if each.replaces and not each.element.comment), None)
        if foreign is not None:
            return (
                self._refuse(
                    Reason.CLOSED_BY_OTHERS, f"{foreign.value} is in {foreign.set} without our mark"
                ),
            )
        others = {mark.device for mark in self.marks()} - {target.device}
        if len(others) >= self.rules.closed_at_most:
            return (self._refuse(Reason.CAP, f"{self.rules.closed_at_most} machines are held there already"),)
        return (
            self._plan(
                target.device, [each for each in changes if each.element not in self.elements], closes=True
            ),
        )

    def release(self, target: Target) -> tuple[Plan, ...]:
        """Plan to take a campaign out of the machine's marks; the last one takes the element out."""
        changes: list[Change] = []
        for element in self.elements:
            mark = _mark_of(element.comment)
            if mark is not None and mark[0] == target.device and target.campaign in mark[1]:
                rest = tuple(each for each in mark[1] if each != target.campaign)
                changes.append(_without(element, rest))
        return (self._plan(target.device, changes, closes=False),) if changes else ()

    def free(self, places: AbstractSet[str] | None = None) -> tuple[Plan, ...]:
        """Plan to take out all that is ours, or some of it."""
        ours = [
            Change(each, present=False)
            for each in self.elements
            if _mark_of(each.comment) is not None and (places is None or f"{each.set} {each.value}" in places)
        ]
        return (self._plan("all", ours, closes=False),) if ours else ()

    def shows(self, addresses: Iterable[str]) -> bool:  # noqa: ARG002 - whoever moves keeps his addresses
        """A set follows the machine by itself."""
        return False

    def _plan(self, place: str, changes: list[Change], *, closes: bool) -> Plan:
        return Plan(self.rules.name, place, closes=closes, steps=tuple(changes))

    def _refuse(self, reason: Reason, detail: str) -> Refusal:
        return Refusal(reason, self.rules.name, detail)


@dataclass(frozen=True, slots=True)
class NftPoint:
    """One gateway; `command` is `nft`, or the fixed words that reach it there (`ssh gateway nft`)."""

    rules: NftRules
    command: tuple[str, ...] = ("nft",)
    sites: frozenset[str] = frozenset()
    seconds: float = 10.0

    @property
    def name(self) -> str:
        """What people call it."""
        return self.rules.name

    async def look(self, *, marks_only: bool = False) -> NftSight | Refusal:  # noqa: ARG002 - the sets are all there is
        """Read the sets."""
        elements: list[Element] = []
        for name in self.rules.sets.values():
            words = ("list", "set", self.rules.family, self.rules.table, name)
            ended = await run((*self.command, "-j", *words), seconds=self.seconds)
            if ended.trouble:
                why = f"{ended.trouble} (docs/network.md has the table and the sets it needs)"
                return Refusal(Reason.UNREACHABLE, self.name, why)
            elements += elements_of(name, ended.output)
        return NftSight(tuple(elements), self.rules)

    async def send(self, plan: Plan) -> Refusal | None:
        """Send all changes as one transaction, and read the sets back."""
        changes = [step for step in plan.steps if isinstance(step, Change)]
        if not changes:
            return None
        text = script(changes, self.rules)
        ended = await run((*self.command, "-j", "-f", "-"), text, self.seconds)
        if ended.trouble:
            return Refusal(Reason.UNREACHABLE, self.name, ended.trouble)
        sight = await self.look()
        if isinstance(sight, Refusal):
            return sight
        wrong = next((each for each in changes if (each.element in sight.elements) is not each.present), None)
        return None if wrong is None else Refusal(Reason.NOT_AS_PROMISED, self.name, f"not so: {wrong.text}")


def script(changes: list[Change], rules: NftRules) -> bytes:
    """Write changes as one nftables transaction in JSON (libnftables-json(5))."""
    commands: list[dict[str, object]] = []
    for change in changes:
        if change.replaces or not change.present:
            commands.append({"delete": {"element": _element(change.element, rules, comment=False)}})
        if change.present:
            commands.append({"add": {"element": _element(change.element, rules, comment=True)}})
    return json.dumps({"nftables": commands}).encode()


def elements_of(name: str, listing: bytes) -> list[Element]:
    """Read what `nft -j list set` printed."""
    try:
        found = msgspec.json.decode(listing, type=dict[str, list[dict[str, Any]]])
    except (msgspec.DecodeError, RecursionError):
        return []
    elements: list[Element] = []
    for entry in found.get("nftables", []):
        for value in entry.get("set", {}).get("elem", []):
            inner = value.get("elem", {}) if isinstance(value, dict) else {"val": value}
            if isinstance(inner.get("val"), str):
                elements.append(Element(name, inner["val"], str(inner.get("comment", ""))))
    return elements


def _element(element: Element, rules: NftRules, *, comment: bool) -> dict[str, object]:
    value: object = element.value
    if comment:
        value = {"elem": {"val": element.value, "comment": element.comment}}
    return {"family": rules.family, "table": rules.table, "name": element.set, "elem": [value]}


def _places(target: Target, rules: NftRules) -> Iterator[tuple[str, str]]:
    """Yield (set, address) for every address of the machine that a set takes."""
    kinds = {
        "ether_addr": address.macs(target.addresses),
        "ipv4_addr": tuple(ip for ip in address.ips(target.addresses) if ":" not in ip),
        "ipv6_addr": tuple(ip for ip in address.ips(target.addresses) if ":" in ip),
    }
    for kind, name in rules.sets.items():
        yield from ((name, value) for value in kinds[kind])


def _added(place: tuple[str, str], there: Element | None, target: Target) -> Change:
    """Put an address in; one that is there for another campaign gets this one, too. No comment: not ours."""
    mark = _mark_of(there.comment) if there is not None else (target.device, ())
    if mark is None:
        return Change(Element(*place), present=True, replaces=True)
    campaigns = tuple(dict.fromkeys((*mark[1], target.campaign)))
    comment = f"{WORD} {target.device} {','.join(campaigns)}"[:_LONGEST_COMMENT]
    return Change(Element(*place, comment), present=True, replaces=there is not None)


def _without(element: Element, rest: tuple[str, ...]) -> Change:
    if not rest:
        return Change(element, present=False)
    device = element.comment.split()[1]
    return Change(
        Element(element.set, element.value, f"{WORD} {device} {','.join(rest)}"), present=True, replaces=True
    )


def _mark_of(comment: str) -> tuple[str, tuple[str, ...]] | None:
    words = comment.split()
    return (words[1], tuple(words[2].split(","))) if len(words) == 3 and words[0] == WORD else None
