"""The approvals and imminent threats in force: what people signed, read from the repository and verified again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Root, Targets

from forestall.domain.authority import Approval, Imminence, rises
from forestall.domain.errors import InputError
from forestall.domain.recipe import Payload, payload_in
from forestall.domain.remediation import RemediationId
from forestall.trust.documents import (
    ImminentDocument,
    RemediationDocument,
    approval_of,
    imminence_of,
    odd_names,
    read,
    remediation_of,
    waves_of,
)
from forestall.trust.metadata import (
    missing_signatures,
    read_root,
    read_targets,
    verified,
    version_of,
)
from forestall.trust.payloads import is_payload, payload_path
from forestall.trust.repository import Repository
from forestall.trust.roles import Role, imminent_path, remediation_path

SHAPES: Mapping[Role, type[RemediationDocument] | type[ImminentDocument]] = {
    Role.REMEDIATIONS: RemediationDocument,
    Role.IMMINENT: ImminentDocument,
}
"""The roles that people hold, and what they sign."""


@dataclass(frozen=True, slots=True)
class Papers:
    """By update."""

    approvals: Mapping[RemediationId, Approval]
    imminent: Mapping[RemediationId, Imminence]


def papers_in(repository: Repository, now: datetime) -> Papers:
    """Read what is in force; a role whose signatures have expired counts for nothing."""
    approvals: dict[RemediationId, Approval] = {}
    imminent: dict[RemediationId, Imminence] = {}
    targets = read_targets(repository.newest(Role.TARGETS)).signed
    for role in SHAPES:
        content = repository.newest(role)
        if verified(content, role, targets).signed.is_expired(now):
            continue
        for path, data in repository.files_of(content).items():
            paper = paper_of(role, path, data)
            if isinstance(paper, RemediationDocument):
                approval = approval_of(paper)
                if isinstance(approval, Approval):
                    approvals[approval.remediation] = approval
            else:
                imminent[remediation_of(paper)] = imminence_of(paper)
    return Papers(approvals, imminent)


def paper_of(role: Role, path: str, data: bytes) -> RemediationDocument | ImminentDocument:
    """Read a paper that people sign.

    Raises:
        InputError: it is none, or lies where another belongs.
    """
    paper = read(data, SHAPES[role])
    if isinstance(paper, str):
        raise InputError(f"{path}: no paper of {role}: {paper}")
    place = remediation_path if role is Role.REMEDIATIONS else imminent_path
    if odd_names(paper) or path != place(remediation_of(paper)):
        raise InputError(f"{path}: names something that cannot be, or another update than its place says")
    if not rises(waves_of(paper.pace)):
        raise InputError(f"{path}: its waves do not rise to everybody")
    odd = approval_of(paper) if isinstance(paper, RemediationDocument) else ""
    if isinstance(odd, str) and odd:
        raise InputError(f"{path}: {odd}")
    return paper


def payloads_of(files: Mapping[str, bytes]) -> frozenset[Payload]:
    """Name the payloads that the recipes of approvals need."""
    papers = (read(data, RemediationDocument) for data in files.values())
    approvals = (approval_of(paper) for paper in papers if isinstance(paper, RemediationDocument))
    found = (payload_in(each.recipe) for each in approvals if isinstance(each, Approval))
    return frozenset(payload for payload in found if payload is not None)


def payloads_named(metadata: bytes) -> frozenset[Payload]:
    """Name the payloads that metadata of `remediations` names.

    Raises:
        InputError: one is called other than by its hash.
    """
    named = read_targets(metadata).signed.targets.items()
    found = {path: Payload(t.hashes.get("sha256", ""), t.length) for path, t in named if is_payload(path)}
    for path, payload in found.items():
        if path != payload_path(payload):
            raise InputError(f"{path[:80]}: a payload is called by its hash")
    return frozenset(found.values())


def check_adoption(
    repository: Repository, metadata: Mapping[Role, bytes], files: Mapping[str, bytes]
) -> None:
    """Make sure that what people bring follows what is in force and is signed by enough of them.

    Raises:
        InputError: it is not; the message says what is missing.
    """
    root, targets = delegators(repository, metadata)
    before = read_root(repository.newest(Role.ROOT)).signed
    for role, content in metadata.items():
        if role not in {Role.ROOT, Role.TARGETS, *SHAPES}:
            raise InputError(f"{role} is signed by the signer itself, not by people")
        _check_version(role, version_of(content), version_of(repository.newest(role)))
        above: list[Root | Targets] = [before, root] if role is Role.ROOT else [root]
        missing = missing_signatures(content, role, [targets] if role in SHAPES else above)
        if missing:
            raise InputError(f"{role}: {missing} more of its keys must sign: forestall keys sign")
        if role in SHAPES:
            _check_files(role, content, files)
    for role in SHAPES:
        if role not in metadata:  # a new delegation must not orphan what is in force
            verified(repository.newest(role), role, targets)


def delegators(repository: Repository, metadata: Mapping[Role, bytes]) -> tuple[Root, Targets]:
    """Read the root and the delegations that will be in force with this metadata."""
    root = metadata.get(Role.ROOT) or repository.newest(Role.ROOT)
    targets = metadata.get(Role.TARGETS) or repository.newest(Role.TARGETS)
    return read_root(root).signed, verified(targets, Role.TARGETS, read_root(root).signed).signed


def _check_version(role: Role, version: int, before: int) -> None:
    if version != before + 1:
        raise InputError(
            f"{role}: version {version} does not follow {before}, which is in force: pack the folder again"
        )


def _check_files(role: Role, content: bytes, files: Mapping[str, bytes]) -> None:
    papers: dict[str, bytes] = {}
    for path, target in read_targets(content).signed.targets.items():
        if is_payload(path):
            continue
        data = files.get(path)
        if data is None:
            raise InputError(f"{path}: is signed, but not in the folder")
        try:
            target.verify_length_and_hashes(data)
        except LengthOrHashMismatchError:
            raise InputError(f"{path}: is not the file that was signed") from None
        paper_of(role, path, data)
        papers[path] = data
    if role is Role.REMEDIATIONS and payloads_named(content) != payloads_of(papers):
        raise InputError(f"{role}: names other payloads than its recipes need")
