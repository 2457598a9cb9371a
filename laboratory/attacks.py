"""Tries of somebody who holds every online key, the server and the database (R2).

He wants his own bytes on machines, or approved ones everywhere at once. One update is approved, its first wave is
open for one machine in a hundred, the next ones are not: more than that wave is over the cap.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from forestall.agent import client
from forestall.agent.trust import keep_root
from forestall.domain.authority import agreed_time
from forestall.domain.brakes import position_of
from forestall.domain.device import DeviceId
from forestall.domain.errors import AgentError
from forestall.domain.order import CampaignId, Restart, Step, Verb
from forestall.domain.remediation import RemediationId
from forestall.protocol import OrderHint
from forestall.trust.documents import OrderDocument, WaveMessage, write
from forestall.trust.metadata import fingerprint, make_root, make_targets, signed_by, version_of
from forestall.trust.recipe import SetKernelMessage
from forestall.trust.roles import ONLINE, Role, imminent_path, order_path, remediation_path
from forestall.trust.verifier import Source, Trust
from laboratory.forger import Machine, Shelf, hint_of, served
from laboratory.office import AT_ONCE, Office, approval_for, declaration_for

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WAVES = (WaveMessage(0.01, 0), WaveMessage(0.1, 3_600), WaveMessage(1.0, 14_400))
GENUINE = OrderDocument(
    "openssl-1", 1, "upgrade", "debian", "bookworm", "openssl", "3.0.22-1~deb12u2", NOW - 48 * HOUR,
    NOW + 168 * HOUR, NOW + 20 * HOUR, WAVES, Restart.PERSON, "critical", {"en": "Security update of openssl."},
)  # fmt: skip
APPROVED = RemediationId("bookworm/openssl/3.0.22-1~deb12u2")
FOREIGN = msgspec.structs.replace(GENUINE, campaign="evil-1", source="evil", version="6.6.6")
EARLY = msgspec.structs.replace(GENUINE, deadline_at=NOW - 47 * HOUR, rings=AT_ONCE)


@dataclass(slots=True)
class Heist:
    """What he has: the online keys, the files that are served, what the server says to machines."""

    office: Office
    shelf: Shelf
    hints: list[OrderHint] = field(default_factory=list)
    server_time: datetime = NOW

    def order(self, *papers: OrderDocument) -> None:
        """Sign orders with the stolen key and tell every machine that they are for it, long since due."""
        self.publish({Role.ORDERS: {order_path(CampaignId(each.campaign)): write(each) for each in papers}})
        self.hints = [hint_of(each.campaign, NOW - 1_000 * HOUR) for each in papers]

    def publish(self, files: Mapping[Role, Mapping[str, bytes]]) -> None:
        """Publish anything under any role, signed with the online keys, all of them, whatever the role wants."""
        stolen = [key for role in ONLINE for key in self.office.keys(role)]
        people = (Role.ROOT, Role.TARGETS, Role.REMEDIATIONS, Role.IMMINENT)
        self.office.publish(files, NOW, dict.fromkeys(people, stolen))


def attack(scratch: Path, fleet: int) -> dict[str, object]:
    """Try everything; count foreign updates accepted, machines touched, and tries that went over the cap."""
    devices = [DeviceId(f"d-{number}") for number in range(fleet)]
    cap = sum(position_of(APPROVED, device) < WAVES[0].share for device in devices)
    foreign = over_cap = 0
    touched = []
    for number, (sentence, attempt) in enumerate(TRIES.items()):
        found = _tried(scratch / f"try{number}", attempt, devices)
        foreign += found.foreign
        over_cap += found.touched > cap
        touched.append({"try": sentence, "foreign": found.foreign, "touched": found.touched})
    return {"tries": len(TRIES), "foreign": foreign, "fleet": fleet, "cap": cap,
            "touched_at_most": max(int(str(each["touched"])) for each in touched), "over_cap": over_cap,
            "each_try": touched}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Found:
    foreign: int
    touched: int


def _tried(folder: Path, attempt: Callable[[Heist], None], devices: list[DeviceId]) -> _Found:
    office = Office(folder / "company", NOW - 72 * HOUR)
    approval = approval_for(GENUINE, force_from=NOW - HOUR / 2, pace=WAVES)
    office.sign([GENUINE], [approval], NOW - 24 * HOUR)
    with served(Shelf(office.repository.directory)) as shelf:
        trust = Trust(folder / "trust", office.repository.root(1), (Source(shelf.url),), client.tls_context())
        if not trust.refresh(NOW - 23 * HOUR, 0):
            raise RuntimeError(f"the genuine repository is refused: {trust.refusals}")
        heist = Heist(office, shelf)
        attempt(heist)
        now = agreed_time(NOW, heist.server_time)
        foreign: set[DeviceId] = set()
        touched: set[DeviceId] = set()
        if trust.refresh(now, 0):
            for device in devices:
                steps = Machine(folder, b"", device).look(shelf.url, heist.hints, now, trust=trust)
                foreign |= {device for update in steps if update != APPROVED}
                touched |= {device for step in steps.values() if step is Step.FORCE}
    return _Found(len(foreign), len(touched))


def _foreign_order(heist: Heist) -> None:
    heist.order(FOREIGN)


def _other_version(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, version="3.0.1-1"))


def _approval_by_online_keys(heist: Heist) -> None:
    approval = approval_for(FOREIGN)
    heist.publish(
        {Role.REMEDIATIONS: {remediation_path(RemediationId("bookworm/evil/6.6.6")): write(approval)}}
    )
    heist.order(FOREIGN)


def _recipe_by_online_keys(heist: Heist) -> None:
    order = msgspec.structs.replace(FOREIGN, product="recipe", release="any")
    recipe = SetKernelMessage("kernel.core_pattern", "|/tmp/evil")
    path = remediation_path(RemediationId("any/evil/6.6.6"))
    heist.publish({Role.REMEDIATIONS: {path: write(approval_for(order, recipe=recipe))}})
    heist.order(order)


def _package_as_recipe(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, product="recipe", release="any"))


def _approval_among_orders(heist: Heist) -> None:
    path = remediation_path(RemediationId("bookworm/evil/6.6.6"))
    order = {order_path(CampaignId("evil-1")): write(FOREIGN), path: write(approval_for(FOREIGN))}
    heist.publish({Role.ORDERS: order})
    heist.hints = [hint_of("evil-1", NOW)]


def _own_root(heist: Heist) -> None:
    stolen = {role: ([key.public_key for key in heist.office.keys(Role.ORDERS)], 1) for role in Role}
    root = make_root(stolen, NOW, development=False)
    root.version = 2
    heist.office.repository.put_metadata(Role.ROOT, 2, signed_by(root, heist.office.keys(Role.ORDERS)))
    _approval_by_online_keys(heist)


def _own_delegations(heist: Heist) -> None:
    key = heist.office.keys(Role.ORDERS)
    stolen = {role: ([each.public_key for each in key], 1) for role in Role}
    targets = make_targets(stolen, NOW)
    targets.version = version_of(heist.office.repository.newest(Role.TARGETS)) + 1
    heist.office.repository.put_metadata(Role.TARGETS, targets.version, signed_by(targets, key))
    _approval_by_online_keys(heist)


def _early_for_everybody(heist: Heist) -> None:
    heist.order(EARLY)


def _many_campaigns(heist: Heist) -> None:
    heist.order(*(msgspec.structs.replace(EARLY, campaign=f"again-{number}") for number in range(20)))


def _imminent_by_online_keys(heist: Heist) -> None:
    heist.publish({Role.IMMINENT: {imminent_path(APPROVED): write(declaration_for(GENUINE, NOW - HOUR))}})
    heist.order(EARLY)


def _imminent_among_orders(heist: Heist) -> None:
    declared = write(declaration_for(GENUINE, NOW - HOUR))
    order = {order_path(CampaignId("openssl-1")): write(EARLY), imminent_path(APPROVED): declared}
    heist.publish({Role.ORDERS: order})
    heist.hints = [hint_of("openssl-1", NOW - HOUR)]


def _lying_clock(heist: Heist) -> None:
    heist.order(EARLY)
    heist.server_time = NOW + timedelta(days=400)


def _command_line(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, verb="run", source="sh", version="1"))


def _options_as_names(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, source="-oDpkg::Pre-Invoke::=sh"))


def _hole_opened_again(heist: Heist) -> None:
    """He orders an approved update to be taken back, and signs the way back himself."""
    undo = msgspec.structs.replace(EARLY, campaign="undo-1", verb=Verb.UNDO)
    approval = approval_for(undo, back_to="3.0.1-1")
    heist.publish({Role.REMEDIATIONS: {remediation_path(APPROVED): write(approval)}})
    heist.order(undo)


def _hole_opened_by_an_order(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, campaign="undo-1", verb=Verb.UNDO))


def _paths_as_names(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, release="../../bookworm"))


def _ten_years(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, expires_at=NOW + timedelta(days=3_650)))


def _waves_of_his_own(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, rings=(WaveMessage(1.0, 0), WaveMessage(0.5, 0))))


def _two_keys_of_one_name(heist: Heist) -> None:
    good = json.dumps(json.loads(write(EARLY)))
    twice = good[:-1] + ', "source": "evil", "version": "6.6.6"}'
    heist.publish({Role.ORDERS: {order_path(CampaignId("openssl-1")): twice.encode()}})
    heist.hints = [hint_of("openssl-1", NOW - HOUR)]


def _other_product(heist: Heist) -> None:
    heist.order(msgspec.structs.replace(EARLY, product="evil"))


def _withdrawn_approval_again(heist: Heist) -> None:
    """Old approvals come back: the list that people have replaced since is served again, newly listed."""
    old = heist.office.repository.newest(Role.REMEDIATIONS)
    trusted = approval_for(GENUINE, force_from=NOW + 500 * HOUR, pace=WAVES)
    heist.office.sign([GENUINE], [trusted], NOW)
    heist.shelf.forged[
        f"metadata/{version_of(heist.office.repository.newest(Role.REMEDIATIONS))}.remediations.json"
    ] = old
    heist.order(EARLY)


def _another_root_at_enrolment(heist: Heist) -> None:
    """A machine is enrolled with his root; whoever enrols it was told the fingerprint by somebody else."""
    stolen = heist.office.keys(Role.ORDERS)
    own = make_root({role: ([key.public_key for key in stolen], 1) for role in Role}, NOW, development=False)
    try:
        keep_root(heist.shelf.folder, signed_by(own, stolen).decode(), fingerprint(heist.office.root))
    except AgentError:
        return
    heist.hints = [hint_of("enrolled", NOW)]


TRIES: Mapping[str, Callable[[Heist], None]] = {
    "an order for his own package": _foreign_order,
    "an order for another version of an approved package": _other_version,
    "an approval of his own, signed with all online keys": _approval_by_online_keys,
    "a recipe of his own, signed with all online keys": _recipe_by_online_keys,
    "an approved package, ordered as a recipe": _package_as_recipe,
    "an approval of his own, among the orders": _approval_among_orders,
    "a root of his own, signed with the online keys": _own_root,
    "delegations of his own, signed with the online keys": _own_delegations,
    "an approved update, due for everybody since yesterday": _early_for_everybody,
    "twenty campaigns for one update, to draw new canaries each time": _many_campaigns,
    "an imminent threat, signed with all online keys": _imminent_by_online_keys,
    "an imminent threat, among the orders": _imminent_among_orders,
    "a server's clock 400 days ahead": _lying_clock,
    "a command line as verb": _command_line,
    "an approved update taken back, by an order alone": _hole_opened_by_an_order,
    "an approved update taken back, the way back signed with all online keys": _hole_opened_again,
    "options of apt as a package's name": _options_as_names,
    "a path as a release": _paths_as_names,
    "an order for ten years": _ten_years,
    "waves that reach everybody first": _waves_of_his_own,
    "an order that names two packages": _two_keys_of_one_name,
    "a product nobody knows": _other_product,
    "an approval that people have replaced since": _withdrawn_approval_again,
    "another root for a machine that is just enrolled": _another_root_at_enrolment,
}
