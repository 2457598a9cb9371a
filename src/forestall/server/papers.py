"""What offline keys are asked to sign, put together from what the server knows, and taken back (A10)."""

import contextlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from forestall.domain.brakes import pace_of
from forestall.domain.duration import parse_duration
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind
from forestall.domain.order import Verb
from forestall.domain.product import product_of
from forestall.domain.recipe import Payload, payload_in
from forestall.domain.remediation import RemediationId, by_recipe, parts_of
from forestall.server.operators import find_update
from forestall.server.trust_place import trust_place
from forestall.server.wiring import Installation
from forestall.store import devices, ledger
from forestall.trust.channel import Adopt, ask
from forestall.trust.documents import (
    ImminentDocument,
    RemediationDocument,
    approval_of,
    read,
    remediation_of,
    wave_messages,
)
from forestall.trust.keys import Keys
from forestall.trust.papers import SHAPES
from forestall.trust.payloads import payload_of
from forestall.trust.recipe import RecipeMessage, UpdateAgentMessage, read_recipe_file, recipe_of
from forestall.trust.repository import Repository
from forestall.trust.roles import Role, imminent_path, remediation_path
from forestall.trust.signer import Published
from forestall.trust.travel import Asked, Folder


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person wants signed."""

    approve: tuple[str, ...] = ()
    voluntary: str = ""
    """The least voluntary period; empty takes the policy's."""
    imminent: tuple[str, ...] = ()
    reason: str = ""
    take_back: tuple[str, ...] = ()
    renew: bool = False
    recipes: tuple[Path, ...] = ()
    """Recipe files of approved updates that have no package."""
    payloads: tuple[Path, ...] = ()
    """The files that these recipes name by their hashes."""
    undo: tuple[str, ...] = ()
    """Withdrawn updates that may be taken back: `UPDATE=VERSION`; of a recipe, but not an agent, `UPDATE` (A7)."""


def pack_papers(installation: Installation, folder: Path, wanted: Wanted, now: datetime) -> list[Asked]:
    """Fill a travelling folder.

    Raises:
        InputError: an update that is not known, no reason for an imminent threat, a folder that is not empty, a
            recipe or a payload that is missing or is none.
    """
    if wanted.imminent and not wanted.reason.strip():
        raise InputError("Say why the threat is imminent: --reason (it is signed and shown)")
    repository = trust_place(installation.settings.directory).repository
    recipes = _recipes(wanted.recipes)
    papers: list[RemediationDocument | ImminentDocument] = [
        *(_approval(installation, name, wanted.voluntary, recipes, now) for name in wanted.approve),
        *(_way_back(installation, repository, name, wanted.voluntary, now) for name in wanted.undo),
        *(_declaration(installation, name, wanted.reason, now) for name in wanted.imminent),
    ]
    for update in recipes.keys() - {remediation_of(paper) for paper in papers}:
        raise InputError(f"{update} has a recipe file, but is not among the updates to approve")
    _check_payloads(recipes.values(), wanted.payloads, repository)
    gone = [
        path(RemediationId(name)) for name in wanted.take_back for path in (remediation_path, imminent_path)
    ]
    travelling = Folder(folder)
    travelling.pack(repository)
    for role in SHAPES if wanted.renew else ():
        travelling.renew(role, now)
    travelling.propose(papers, gone, now, wanted.payloads)
    asked = travelling.asked()
    if not asked:
        raise InputError("Nothing is to be signed: everything named is in force as it is")
    return asked


def take_papers(installation: Installation, folder: Path, by: str, now: datetime) -> Published:
    """Have the signer adopt a folder; recorded with everything that changed.

    Raises:
        InputError: nothing is asked for in it.
        SignerError: the signer does not answer, or too few have signed.
    """
    travelling = Folder(folder)
    asked = travelling.asked()
    payloads = travelling.payloads()
    request = Adopt(*travelling.contents(), tuple(payload.sha256 for payload in payloads))
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(path.open("rb")) for path in payloads.values()]
        published = ask(trust_place(installation.settings.directory).socket, request, files)
    events = [
        Event(EventKind.APPROVED, by, each.role, paragraph="A10", body={"changes": list(each.changes)})
        for each in asked
    ]
    with installation.database.begin() as con:
        ledger.append(con, events, now)
    return published


def approve_here(installation: Installation, wanted: Wanted, keys: Keys, by: str, now: datetime) -> Published:
    """Have signed with keys that are at hand what a person wants signed."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "papers"
        pack_papers(installation, folder, wanted, now)
        Folder(folder).sign(keys)
        return take_papers(installation, folder, by, now)


def _recipes(files: Iterable[Path]) -> dict[RemediationId, RecipeMessage]:
    """Read recipe files, by their updates."""
    found: dict[RemediationId, RecipeMessage] = {}
    for path in files:
        try:
            read = read_recipe_file(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        if isinstance(read, str):
            raise InputError(f"{path}: {read}")
        found[read.update] = read.recipe
    return found


def _check_payloads(recipes: Iterable[RecipeMessage], files: Iterable[Path], repository: Repository) -> None:
    """Make sure that every payload is there or given, and none is given that no recipe names."""
    made = (recipe_of(each) for each in recipes)
    needed = {p for each in made if not isinstance(each, str) and (p := payload_in(each)) is not None}
    given: dict[Payload, Path] = {}
    for path in files:
        try:
            given[payload_of(path)] = path
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
    for payload, path in given.items():
        if payload not in needed:
            raise InputError(
                f"{path}: no recipe names this payload: its SHA-256 is {payload.sha256}, its length {payload.length}"
            )
    for payload in needed - given.keys():
        if not repository.has(payload):
            raise InputError(f"A recipe names the payload {payload.sha256}: give its file with --payload")


def _approval(
    installation: Installation,
    name: str,
    voluntary: str,
    recipes: Mapping[RemediationId, RecipeMessage],
    now: datetime,
) -> RemediationDocument:
    policy = installation.policy
    row = find_update(installation.database, name)
    release, source, version = parts_of(row.remediation)
    recipe = recipes.get(row.remediation)
    if by_recipe(row.remediation) and recipe is None:
        raise InputError(f"{row.remediation} has no package: give its recipe file with --recipe")
    period = parse_duration(voluntary) if voluntary else policy.voluntary_period
    with installation.database.begin() as con:
        fleet = devices.count(con)
    now = now.replace(microsecond=0)
    return RemediationDocument(
        product=product_of(release),
        release=release,
        source=source,
        version=version,
        approved_at=now,
        force_from=now + period,
        pace=wave_messages(pace_of(policy, fleet, imminent=False)),
        advisories=tuple(row.advisories[:1_000]),
        recipe=recipe,
    )


def _way_back(
    installation: Installation, repository: Repository, asked: str, voluntary: str, now: datetime
) -> RemediationDocument:
    """Write the approval to take an update back, in the place of the one to install it; its recipe stays."""
    name, _, back_to = asked.partition("=")
    row = find_update(installation.database, name)
    recipes: dict[RemediationId, RecipeMessage] = {}
    if by_recipe(row.remediation):
        known = repository.files_of(repository.newest(Role.REMEDIATIONS)).get(
            remediation_path(row.remediation)
        )
        paper = None if known is None else read(known, RemediationDocument)
        if not isinstance(paper, RemediationDocument) or paper.recipe is None:
            raise InputError(f"{row.remediation} is not approved, so there is no recipe to take it back by")
        recipes = {row.remediation: paper.recipe}
    written = _approval(installation, row.remediation, voluntary, recipes, now)
    paper = msgspec.structs.replace(written, verb=Verb.UNDO, back_to=back_to or None)
    odd = approval_of(paper)
    if isinstance(odd, str):
        versioned = isinstance(paper.recipe, UpdateAgentMessage | None)
        hint = f" Say where to: --undo {row.remediation}=VERSION" if versioned else ""
        raise InputError(f"{row.remediation} cannot be taken back: {odd}.{hint}")
    return paper


def _declaration(installation: Installation, name: str, reason: str, now: datetime) -> ImminentDocument:
    row = find_update(installation.database, name)
    release, source, version = parts_of(row.remediation)
    with installation.database.begin() as con:
        fleet = devices.count(con)
    now = now.replace(microsecond=0)
    pace = wave_messages(pace_of(installation.policy, fleet, imminent=True))
    return ImminentDocument(product_of(release), release, source, version, now, now, pace, reason)
