"""What the signer does: it holds the online keys, signs orders within approvals and caps, and writes the repository.

It believes nothing the server says: every order is held against the papers that people signed offline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import msgspec
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Targets

from forestall.domain.authority import Imminence, Objection, objections
from forestall.domain.errors import InputError
from forestall.domain.order import ACTIVE, CampaignId, Verb
from forestall.domain.policy import HOUR
from forestall.domain.remediation import RemediationId, undercuts
from forestall.durable import write_whole
from forestall.trust.caps import Caps, Plan, most_in_an_hour, plan_of
from forestall.trust.documents import (
    OrderDocument,
    odd_names,
    read,
    remediation_of,
    signed_order_of,
    write,
)
from forestall.trust.metadata import (
    expiry,
    make_papers,
    make_snapshot,
    make_timestamp,
    read_targets,
    signed_by,
    version_of,
)
from forestall.trust.papers import SHAPES, Papers, check_adoption, delegators, papers_in, payloads_named
from forestall.trust.payloads import is_payload, payload_path
from forestall.trust.repository import Repository
from forestall.trust.roles import ONLINE, Role, order_path

RENEW_AFTER = timedelta(hours=6)
"""Orders that did not change are signed anew: a machine that asks every four hours always has 14 hours left."""
_MEMORY = "signed.json"


class Refused(msgspec.Struct, frozen=True):
    """An order that was not signed, and why."""

    campaign: str
    why: str


class Published(msgspec.Struct, frozen=True):
    """What a publication came to."""

    version: int
    """Of the timestamp: the number that tells an agent whether its mirror is behind."""
    orders: int
    refused: tuple[Refused, ...] = ()


class Remembered(msgspec.Struct, frozen=True):
    """What was last signed for a campaign."""

    revision: int
    deadline_at: datetime
    signed_at: datetime


@dataclass(slots=True)
class Signer:
    """One repository, the keys for it, the caps; `directory` is the signer's own."""

    directory: Path
    repository: Repository
    keys: Sequence[CryptoSigner]
    caps: Caps
    _memory: dict[str, Remembered] = field(init=False)

    def __post_init__(self) -> None:
        path = self.directory / _MEMORY
        known = path.read_bytes() if path.exists() else b"{}"
        try:
            self._memory = msgspec.json.decode(known, type=dict[str, Remembered])
        except msgspec.MsgspecError as error:
            raise InputError(
                f"{path}: is damaged: {error}. Restore it: it is what the caps count by"
            ) from None

    def publish(self, wanted: Sequence[OrderDocument], now: datetime) -> Published:
        """Sign these orders and no others; what may not be signed is left out and named."""
        papers = papers_in(self.repository, now)
        kept: dict[str, OrderDocument] = {}
        plans: dict[str, Plan] = {}
        required = [remediation_of(each) for each in wanted if each.verb == Verb.UPGRADE]
        refused: list[Refused] = []
        expires_at = expiry(Role.ORDERS, now)
        # Those signed before come first: a new order never pushes out one that machines already hold.
        for order in sorted(wanted, key=lambda each: each.campaign not in self._memory):
            paper = msgspec.structs.replace(order, expires_at=expires_at)
            why, plan = self._examined(paper, papers, plans.values(), now)
            why = why or _undercuts(paper, papers, required)
            if why or order.campaign in kept:
                refused.append(Refused(order.campaign[:128], why or "named twice"))
                continue
            kept[order.campaign], plans[order.campaign] = paper, plan
            self._remember(paper, now)
        self._keep_memory()
        self._sign_orders(kept, now)
        return Published(version_of(self.repository.newest(Role.TIMESTAMP)), len(kept), tuple(refused))

    def adopt(
        self,
        metadata: Mapping[Role, bytes],
        files: Mapping[str, bytes],
        now: datetime,
        payloads: Mapping[str, IO[bytes]] | None = None,
    ) -> Published:
        """Take what people signed elsewhere: roots, delegations, approvals, imminent threats.

        `payloads` are open files by their hashes, of recipes that are new.

        Raises:
            InputError: not signed by enough keys, not the next version, a file that is no such paper or payload, or
                a root that names online keys which this signer does not hold.
        """
        check_adoption(self.repository, metadata, files)
        root, targets = delegators(self.repository, metadata)
        for role in ONLINE:
            self._signers(role, targets if role is Role.ORDERS else root)
        named = {
            path
            for role in SHAPES
            if role in metadata
            for path in read_targets(metadata[role]).signed.targets
            if not is_payload(path)
        }
        if Role.REMEDIATIONS in metadata:
            self._take_payloads(metadata[Role.REMEDIATIONS], payloads or {})
        for path in named:  # of what was sent, only what people signed
            self.repository.put_target(path, files[path])
        for role, content in metadata.items():
            self.repository.put_metadata(role, version_of(content), content)
        orders = self.repository.files_of(self.repository.newest(Role.ORDERS))
        self._put_orders(orders, now)
        return Published(version_of(self.repository.newest(Role.TIMESTAMP)), len(orders))

    def _take_payloads(self, metadata: bytes, given: Mapping[str, IO[bytes]]) -> None:
        """Copy the payloads that people signed and that are not here yet."""
        for payload in payloads_named(metadata):
            if self.repository.has(payload):
                continue
            if payload.sha256 not in given:
                raise InputError(f"{payload_path(payload)}: is signed, but not in the folder")
            self.repository.put_payload(payload, given[payload.sha256])

    def _examined(
        self, paper: OrderDocument, papers: Papers, plans: Iterable[Plan], now: datetime
    ) -> tuple[str, Plan]:
        """Say why an order is not signed (empty where it is), and what it will force."""
        nothing = Plan(())
        if odd_names(paper):
            return Objection.ODD_NAME, nothing
        order = signed_order_of(paper)
        approval = papers.approvals.get(order.remediation)
        imminence = papers.imminent.get(order.remediation)
        against = objections(order, approval, now)
        if against:
            return ", ".join(against), nothing
        plan = plan_of(order, approval, imminence) if order.verb in ACTIVE else nothing
        return self._over(paper, plan, plans, imminence, now), plan

    def _over(
        self,
        paper: OrderDocument,
        plan: Plan,
        plans: Iterable[Plan],
        imminence: Imminence | None,
        now: datetime,
    ) -> str:
        """Hold an order against what was signed before and against the caps."""
        before = self._memory.get(paper.campaign)
        if before is not None and paper.revision < before.revision:
            return Objection.OLD_REVISION
        if before is not None and paper.deadline_at < before.deadline_at and imminence is None:
            return "earlier-deadline: only an imminent threat that two people signed moves it forward"
        new = before is None or paper.revision > before.revision
        lately = sum(now - each.signed_at < HOUR for each in self._memory.values())
        if new and lately >= self.caps.campaigns_an_hour:
            return f"campaigns-an-hour: {self.caps.campaigns_an_hour} were signed in the last hour"
        most = most_in_an_hour([*plans, plan], now, self.caps)
        if plan.forced and most > self.caps.forced_an_hour:
            return f"forced-an-hour: would force {most:.0f} machines within an hour, {self.caps.forced_an_hour} allowed"
        return ""

    def _remember(self, paper: OrderDocument, now: datetime) -> None:
        before = self._memory.get(paper.campaign)
        if before is None or paper.revision > before.revision:
            self._memory[paper.campaign] = Remembered(paper.revision, paper.deadline_at, now)
        else:
            self._memory[paper.campaign] = msgspec.structs.replace(before, deadline_at=paper.deadline_at)

    def _keep_memory(self) -> None:
        """Remember before anything is signed: a restart must not forget what the caps have let through."""
        path = self.directory / _MEMORY
        content = msgspec.json.encode(self._memory)
        if not path.exists() or path.read_bytes() != content:
            write_whole(path, content, 0o600)

    def _sign_orders(self, kept: Mapping[str, OrderDocument], now: datetime) -> None:
        newest = read_targets(self.repository.newest(Role.ORDERS)).signed
        signed = self.repository.files_of(self.repository.newest(Role.ORDERS))
        before = {path: _without_expiry(data) for path, data in signed.items()}
        wanted = {order_path(CampaignId(paper.campaign)): write(paper) for paper in kept.values()}
        same = before == {path: _without_expiry(data) for path, data in wanted.items()}
        if same and expiry(Role.ORDERS, now) - newest.expires < RENEW_AFTER:
            return
        self._put_orders(wanted, now)

    def _put_orders(self, files: Mapping[str, bytes], now: datetime) -> None:
        """Sign orders, snapshot and timestamp, and write them in the order in which agents may find them."""
        repository = self.repository
        root, targets = delegators(repository, {})
        for path, content in files.items():
            repository.put_target(path, content)
        version = version_of(repository.newest(Role.ORDERS)) + 1
        orders = signed_by(make_papers(version, files, Role.ORDERS, now), self._signers(Role.ORDERS, targets))
        repository.put_metadata(Role.ORDERS, version, orders)
        listed = {role: repository.newest(role) for role in (Role.TARGETS, *SHAPES, Role.ORDERS)}
        version = version_of(repository.newest(Role.SNAPSHOT)) + 1
        snapshot = signed_by(make_snapshot(version, listed, now), self._signers(Role.SNAPSHOT, root))
        repository.put_metadata(Role.SNAPSHOT, version, snapshot)
        version = version_of(repository.newest(Role.TIMESTAMP)) + 1
        timestamp = signed_by(make_timestamp(version, snapshot, now), self._signers(Role.TIMESTAMP, root))
        repository.put_metadata(Role.TIMESTAMP, version, timestamp)
        repository.prune()

    def _signers(self, role: Role, delegator: Root | Targets) -> list[CryptoSigner]:
        """Pick the keys that count for a role.

        Raises:
            InputError: too few of them are held here.
        """
        wanted = delegator.get_delegated_role(role.value)
        held = [key for key in self.keys if key.public_key.keyid in wanted.keyids]
        if len(held) < wanted.threshold:
            raise InputError(
                f"The signer does not hold the key of {role} that is in force: put its file into "
                f"{self.directory} and start the signer again"
            )
        return held


def _undercuts(paper: OrderDocument, papers: Papers, required: Iterable[RemediationId]) -> str:
    """Say whether an order takes back what another one requires (A7)."""
    update = remediation_of(paper)
    approval = papers.approvals.get(update)
    if paper.verb != Verb.UNDO or approval is None:
        return ""
    over = sorted(
        other
        for other in required
        if undercuts(update, approval.back_to, other)
        and (its := papers.approvals.get(other)) is not None
        and its.verb is Verb.UPGRADE
    )
    return f"{Objection.UNDERCUTS}: {over[0]} is ordered, too" if over else ""


def _without_expiry(data: bytes) -> bytes:
    paper = read(data, OrderDocument)
    return (
        data
        if isinstance(paper, str)
        else write(msgspec.structs.replace(paper, expires_at=paper.deadline_at))
    )
