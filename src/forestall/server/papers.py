"""What offline keys are asked to sign, put together from what the server knows, and taken back (A10)."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from forestall.domain.brakes import pace_of
from forestall.domain.duration import parse_duration
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind
from forestall.domain.remediation import RemediationId, parts_of
from forestall.server.operators import find_update
from forestall.server.trust_place import trust_place
from forestall.server.wiring import Installation
from forestall.store import devices, ledger
from forestall.trust.channel import Adopt, ask
from forestall.trust.documents import PRODUCT, ImminentDocument, RemediationDocument, wave_messages
from forestall.trust.keys import Keys
from forestall.trust.papers import SHAPES
from forestall.trust.roles import imminent_path, remediation_path
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


def pack_papers(installation: Installation, folder: Path, wanted: Wanted, now: datetime) -> list[Asked]:
    """Fill a travelling folder.

    Raises:
        InputError: an update that is not known, no reason for an imminent threat, a folder that is not empty.
    """
    if wanted.imminent and not wanted.reason.strip():
        raise InputError("Say why the threat is imminent: --reason (it is signed and shown)")
    papers: list[RemediationDocument | ImminentDocument] = [
        *(_approval(installation, name, wanted.voluntary, now) for name in wanted.approve),
        *(_declaration(installation, name, wanted.reason, now) for name in wanted.imminent),
    ]
    gone = [
        path(RemediationId(name)) for name in wanted.take_back for path in (remediation_path, imminent_path)
    ]
    travelling = Folder(folder)
    travelling.pack(trust_place(installation.settings.directory).repository)
    for role in SHAPES if wanted.renew else ():
        travelling.renew(role, now)
    travelling.propose(papers, gone, now)
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
    published = ask(trust_place(installation.settings.directory).socket, Adopt(*travelling.contents()))
    events = [
        Event(EventKind.APPROVED, by, each.role, paragraph="A10", body={"changes": list(each.changes)})
        for each in asked
    ]
    with installation.database.begin() as con:
        ledger.append(con, events, now)
    return published


def approve_here(
    installation: Installation, name: str, voluntary: str, keys: Keys, by: str, now: datetime
) -> Published:
    """Approve an update with keys that are at hand."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "papers"
        pack_papers(installation, folder, Wanted(approve=(name,), voluntary=voluntary), now)
        Folder(folder).sign(keys)
        return take_papers(installation, folder, by, now)


def _approval(installation: Installation, name: str, voluntary: str, now: datetime) -> RemediationDocument:
    policy = installation.policy
    row = find_update(installation.database, name)
    release, source, version = parts_of(row.remediation)
    period = parse_duration(voluntary) if voluntary else policy.voluntary_period
    with installation.database.begin() as con:
        fleet = devices.count(con)
    now = now.replace(microsecond=0)
    return RemediationDocument(
        product=PRODUCT,
        release=release,
        source=source,
        version=version,
        approved_at=now,
        force_from=now + period,
        pace=wave_messages(pace_of(policy, fleet, imminent=False)),
        advisories=tuple(row.advisories[:1_000]),
    )


def _declaration(installation: Installation, name: str, reason: str, now: datetime) -> ImminentDocument:
    row = find_update(installation.database, name)
    release, source, version = parts_of(row.remediation)
    with installation.database.begin() as con:
        fleet = devices.count(con)
    now = now.replace(microsecond=0)
    pace = wave_messages(pace_of(installation.policy, fleet, imminent=True))
    return ImminentDocument(PRODUCT, release, source, version, now, now, pace, reason)
