"""All keys of a company in one hand: it signs whatever a test wants signed, right or wrong."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
from securesystemslib.signer import CryptoSigner

from forestall.domain.order import CampaignId, Verb
from forestall.protocol import OrderMessage
from forestall.trust import ceremony
from forestall.trust.caps import Caps
from forestall.trust.documents import (
    ImminentDocument,
    OrderDocument,
    RemediationDocument,
    WaveMessage,
    odd_names,
    remediation_of,
    write,
)
from forestall.trust.keys import load_keys
from forestall.trust.metadata import make_papers, make_snapshot, make_timestamp, signed_by, version_of
from forestall.trust.papers import payloads_of
from forestall.trust.repository import Repository
from forestall.trust.roles import COMPANY, Duty, Role, imminent_path, order_path, remediation_path

PASSPHRASE = b"correct horse battery"
AT_ONCE = (WaveMessage(1.0, 0),)
SMALL = {role: Duty(duty.threshold, duty.threshold, duty.valid_for) for role, duty in COMPANY.items()}
"""As many keys as are needed, no more: every signature counts."""


@dataclass
class Office:
    """A ceremony in a folder, and the keys it made."""

    folder: Path
    now: datetime
    duties: Mapping[Role, Duty] = field(default_factory=lambda: SMALL)
    _opened: dict[Role, list[CryptoSigner]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ceremony.hold(self.folder, lambda _: PASSPHRASE, self.now, Caps(1_000, 1_000), self.duties)
        self.repository = Repository(self.folder / ceremony.REPOSITORY)

    @property
    def root(self) -> bytes:
        return self.repository.newest(Role.ROOT)

    @property
    def published(self) -> int:
        return version_of(self.repository.newest(Role.TIMESTAMP))

    def keys(self, role: Role) -> list[CryptoSigner]:
        """Open the keys of a role."""
        name = Role.ROOT if role is Role.TARGETS else role
        files = sorted(self.folder.glob(f"o*line/{name}-*.pem"))
        return load_keys(files, lambda _: PASSPHRASE)

    def sign(
        self,
        orders: Iterable[OrderDocument],
        approvals: Iterable[RemediationDocument],
        now: datetime,
        imminent: Iterable[ImminentDocument] = (),
        keys: Mapping[Role, Sequence[CryptoSigner]] | None = None,
    ) -> None:
        """Sign and publish these papers; `keys` are used instead of a role's own."""
        self.publish(
            {
                Role.REMEDIATIONS: {
                    remediation_path(remediation_of(each)): write(each)
                    for each in approvals
                    if not odd_names(each)
                },
                Role.IMMINENT: {imminent_path(remediation_of(each)): write(each) for each in imminent},
                Role.ORDERS: {order_path(CampaignId(each.campaign)): write(each) for each in orders},
            },
            now,
            keys,
        )

    def publish(
        self,
        files: Mapping[Role, Mapping[str, bytes]],
        now: datetime,
        keys: Mapping[Role, Sequence[CryptoSigner]] | None = None,
    ) -> None:
        """Publish files under the roles that sign them."""
        own = {**{role: self._own(role) for role in Role}, **(keys or {})}
        repository = self.repository
        for role, named in files.items():
            for path, content in named.items():
                repository.put_target(path, content)
            version = version_of(repository.newest(role)) + 1
            papers = make_papers(version, named, role, now, payloads_of(named))
            repository.put_metadata(role, version, signed_by(papers, own[role]))
        self.list_all(now, own)

    def list_all(self, now: datetime, own: Mapping[Role, Sequence[CryptoSigner]]) -> None:
        """Sign a snapshot of what lies there, and a timestamp."""
        repository = self.repository
        listed = {
            role: repository.newest(role)
            for role in (Role.TARGETS, Role.REMEDIATIONS, Role.IMMINENT, Role.ORDERS)
        }
        version = version_of(repository.newest(Role.SNAPSHOT)) + 1
        snapshot = signed_by(make_snapshot(version, listed, now), own[Role.SNAPSHOT])
        repository.put_metadata(Role.SNAPSHOT, version, snapshot)
        version = version_of(repository.newest(Role.TIMESTAMP)) + 1
        timestamp = signed_by(make_timestamp(version, snapshot, now), own[Role.TIMESTAMP])
        repository.put_metadata(Role.TIMESTAMP, version, timestamp)

    def _own(self, role: Role) -> list[CryptoSigner]:
        if role not in self._opened:
            self._opened[role] = self.keys(role)
        return self._opened[role]


def paper_of(message: OrderMessage) -> OrderDocument:
    """Write the paper that allows exactly this order."""
    return OrderDocument(
        campaign=message.campaign,
        revision=message.revision,
        verb=message.verb,
        product=message.product,
        release=message.release,
        source=message.source,
        version=message.version,
        offered_at=message.offered_at,
        deadline_at=message.force_at,
        expires_at=message.expires_at,
        rings=AT_ONCE,
        restart=message.restart,
        level=message.level,
        texts=message.texts,
    )


def approval_for(paper: OrderDocument, **changed: object) -> RemediationDocument:
    """Approve what a paper orders, for as early as it wants."""
    approval = RemediationDocument(
        product=paper.product,
        release=paper.release,
        source=paper.source,
        version=paper.version,
        approved_at=paper.offered_at,
        force_from=paper.offered_at,
        pace=AT_ONCE,
        advisories=("DSA-1",),
        verb=Verb.UNDO if paper.verb == Verb.UNDO else Verb.UPGRADE,
    )
    return msgspec.structs.replace(approval, **changed)


def declaration_for(paper: OrderDocument, deadline_at: datetime, **changed: object) -> ImminentDocument:
    """Declare an imminent threat for what a paper orders."""
    declared = ImminentDocument(
        paper.product,
        paper.release,
        paper.source,
        paper.version,
        deadline_at,
        deadline_at,
        AT_ONCE,
        "exploited",
    )
    return msgspec.structs.replace(declared, **changed)
