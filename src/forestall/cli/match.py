"""`forestall match`: what is open on one machine, from a copy of its dpkg status; needs no server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from forestall.agent.inventory.dpkg_status import read_status
from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.advisory import AdvisoryId, Catalogue, Exploitation, VulnerabilityId
from forestall.domain.errors import FeedError, InputError
from forestall.domain.inventory import Inventory
from forestall.domain.level import Level
from forestall.domain.matching import (
    ArchivePackage,
    OpenUpdate,
    PendingUpgrade,
    open_updates,
    pending_upgrades,
    remediations,
    unreadable,
)
from forestall.domain.rating import Proposal, worst_first
from forestall.feeds.document import unpack
from forestall.feeds.packages import MOST_BYTES, read_packages
from forestall.feeds.result import Refusal


@dataclass(frozen=True, slots=True)
class OpenAdvisory:
    """One line of the answer."""

    advisory: AdvisoryId
    source: str
    installed: str
    fixed: str
    published_at: datetime
    level: Level
    exploitation: Exploitation
    vulnerabilities: tuple[VulnerabilityId, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is open on the machine; `pending_upgrades` is None where no Packages index was there."""

    release: str
    packages: int
    pending_upgrades: int | None
    open_advisories: int
    upgrades: Sequence[PendingUpgrade]
    advisories: Sequence[OpenAdvisory]
    unreadable: Sequence[str]
    """Packages whose version cannot be read: nothing is known of them (A2)."""
    refused: Sequence[Refusal]


def match(
    dpkg_status: Annotated[Path, typer.Option(help="The machine's /var/lib/dpkg/status, packed or not.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="A directory with advisories and, there or in apt/, Packages indexes; else the bundle."
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(help="The machine's release, `bookworm` for example; else told by base-files."),
    ] = None,
    json: Json = False,
) -> None:
    """Show the upgrades pending on a machine and the advisories open there, worst first."""
    inventory = _inventory(dpkg_status, release)
    catalogue, refused = _catalogue(data)
    upgrades = pending_upgrades(inventory, _archive(data) if data else ())
    advisories = _worst_first(inventory, catalogue)
    answer = Answer(
        inventory.release,
        len(inventory.packages),
        len(upgrades) if data and _indexes(data) else None,
        len(advisories),
        upgrades,
        advisories,
        [package.name for package in unreadable(inventory)],
        refused,
    )
    if json:
        print_json(answer)
    else:
        _print(answer)


def _inventory(path: Path, release: str | None) -> Inventory:
    try:
        return read_status(unpack(path.read_bytes(), MOST_BYTES).decode(errors="replace"), release)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (FeedError, InputError) as error:
        raise InputError(f"{path}: {error}") from None


def _catalogue(data: Path | None) -> tuple[Catalogue, list[Refusal]]:
    """Read the feeds in a directory; what is known of vulnerabilities is filled up from the bundle."""
    from forestall.feeds.bundle import load_bundle
    from forestall.feeds.feed import FEEDS
    from forestall.feeds.fetch import fetch, find_file
    from forestall.feeds.merge import merge

    bundle = load_bundle()
    if data is None:
        return bundle, []
    results = [fetch(feed, str(data)) for feed in FEEDS if find_file(feed, data)]
    if not any(result.catalogue.advisories for result in results):
        names = ", ".join(pattern for feed in FEEDS for pattern in feed.files)
        raise InputError(f"{data}: no advisories there; put files into it that are named like {names}")
    known = merge([*(result.catalogue for result in results), Catalogue(facts=bundle.facts)])
    return known, [refusal for result in results for refusal in result.refused]


def _indexes(data: Path) -> list[Path]:
    return sorted({*data.glob("*Packages*"), *data.glob("apt/*Packages*")})


def _archive(data: Path) -> list[ArchivePackage]:
    return [package for index in _indexes(data) for package in read_packages(index)]


def _worst_first(inventory: Inventory, catalogue: Catalogue) -> list[OpenAdvisory]:
    updates = open_updates(inventory, catalogue.advisories)
    proposals = worst_first(remediations(update.advisory for update in updates), catalogue.facts)
    ranked = {
        (proposal.remediation.source, proposal.remediation.version): (place, proposal)
        for place, proposal in enumerate(proposals)
        if proposal.remediation.release == inventory.release
    }
    rows = sorted(updates, key=lambda update: ranked[update.source, update.fixed][0])
    return [_row(update, ranked[update.source, update.fixed][1]) for update in rows]


def _row(update: OpenUpdate, proposal: Proposal) -> OpenAdvisory:
    return OpenAdvisory(
        update.advisory.id,
        update.source,
        update.installed,
        update.fixed,
        update.advisory.published_at,
        proposal.level,
        proposal.exploitation,
        update.advisory.vulnerabilities,
        proposal.reasons,
    )


def _print(answer: Answer) -> None:
    print_table(
        ["level", "advisory", "source", "installed", "fixed", "CVEs", "why"],
        (
            [
                row.level,
                row.advisory,
                row.source,
                row.installed,
                row.fixed,
                len(row.vulnerabilities),
                row.reasons[0],
            ]
            for row in answer.advisories
        ),
        empty="No advisory is open on this machine.",
    )
    pending = "not known (no Packages index)" if answer.pending_upgrades is None else answer.pending_upgrades
    print_line(f"{answer.packages} packages of {answer.release}")
    print_line(f"pending upgrades: {pending}; open advisories: {answer.open_advisories}")
    if answer.unreadable:
        print_line(
            f"nothing can be said of packages with an unreadable version: {', '.join(answer.unreadable)}"
        )
    for refusal in answer.refused:
        print_line(f"left out {refusal.record}: {refusal.reason}")
