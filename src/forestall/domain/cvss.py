"""What the rating reads in a CVSS vector of version 2, 3 or 4: who can reach the flaw and what it gives away."""

from dataclasses import dataclass
from enum import StrEnum


class Reach(StrEnum):
    """How near an attacker must come, worst first."""

    OPEN = "open"
    """Over the network, without an account, a person's help or luck."""
    GUARDED = "guarded"
    """Over the network, but one of these is needed, or the vector does not say (CVSS 2 knows no person's help)."""
    LOCAL = "local"
    """On the machine or beside it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One vector, read for the three E's; `access` and `impact` are the components that say so."""

    reach: Reach
    easy: bool
    """Over the network and without a hurdle, as far as the vector says."""
    controls: bool
    """Confidentiality and integrity are lost completely."""
    leaks: bool
    """Confidentiality is lost completely."""
    alters: bool
    """Integrity is lost: completely in versions 3 and 4, at least partly in version 2."""
    access: str
    impact: str


@dataclass(frozen=True, slots=True)
class _Version:
    """The components that are read of one CVSS version, each with its letters; the first letter is the worst."""

    access: dict[str, str]
    impact: dict[str, str]
    alters: str
    knows_help: bool


_VERSIONS = {
    "2.0": _Version(
        {"AV": "NAL", "AC": "LMH", "Au": "NSM"}, {"C": "CPN", "I": "CPN"}, "CP", knows_help=False
    ),
    "3.0": _Version(
        {"AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR"}, {"C": "HLN", "I": "HLN"}, "H", knows_help=True
    ),
    "4.0": _Version(
        {"AV": "NALP", "AC": "LH", "AT": "NP", "PR": "NLH", "UI": "NPA"},
        {"VC": "HLN", "VI": "HLN"},
        "H",
        knows_help=True,
    ),
}
_VERSIONS["3.1"] = _VERSIONS["3.0"]


def read_vector(vector: str) -> Reading | None:
    """Read a vector, or return None where a component that matters is missing or unknown to its version."""
    head, _, rest = vector.partition("/") if vector.startswith("CVSS:") else ("CVSS:2.0", "/", vector)
    version = _VERSIONS.get(head.removeprefix("CVSS:"))
    values = dict(word.split(":", 1) for word in rest.split("/") if ":" in word)
    if version is None or not _complete(values, version.access | version.impact):
        return None
    confidentiality, integrity = (values[name] for name in version.impact)
    easy = all(values[name] == letters[0] for name, letters in version.access.items())
    lost = next(iter(version.impact.values()))[0]
    return Reading(
        _reach(values["AV"], unhindered=easy and version.knows_help),
        easy,
        controls=confidentiality == integrity == lost,
        leaks=confidentiality == lost,
        alters=integrity in version.alters,
        access=_words(values, version.access),
        impact=_words(values, version.impact),
    )


def _complete(values: dict[str, str], letters: dict[str, str]) -> bool:
    return all(len(values.get(name, "")) == 1 and values[name] in known for name, known in letters.items())


def _reach(attack_vector: str, *, unhindered: bool) -> Reach:
    if attack_vector != "N":
        return Reach.LOCAL
    return Reach.OPEN if unhindered else Reach.GUARDED


def _words(values: dict[str, str], names: dict[str, str]) -> str:
    return "/".join(f"{name}:{values[name]}" for name in names)
