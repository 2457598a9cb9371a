"""What is installed where, and which machines an update concerns.

Each distinct (release, source, version) is compared with a remediation once, and each distinct set of packages is
looked through once: never once a machine.
"""

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
from sqlalchemy import Column, Connection, Text, func, select, text
from sqlalchemy.dialects.postgresql import insert

from forestall.domain.device import DeviceId
from forestall.domain.evidence import Status
from forestall.domain.inventory import Inventory, Package, PackageState
from forestall.domain.product import key_of
from forestall.domain.remediation import Remediation, RemediationId, by_recipe, parts_of
from forestall.store.bulk import staged
from forestall.store.tables import device_inventory, inventory, package_version

_MOST_BYTES = 64 * 1024 * 1024
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Package]).decode

_STAGE = (Column("remediation", Text), *(package_version.c[name] for name in ("release", "source", "key")))

_STANDING = """
WITH wanted AS (
    SELECT v.id, s.remediation, s.release,
           CASE WHEN v.key IS NULL OR s.key IS NULL THEN 'unknown'
                WHEN CASE WHEN :undo THEN v.key = s.key ELSE v.key < s.key END THEN 'affected'
                ELSE 'fixed' END AS status
    FROM stage AS s JOIN package_version AS v ON v.release = s.release AND v.source = s.source
), standing AS (
    SELECT w.remediation, i.id AS inventory,
           CASE WHEN bool_or(w.status = 'affected' OR w.id = ANY (i.broken)) THEN 'affected'
                WHEN bool_or(w.status = 'unknown') THEN 'unknown' ELSE 'fixed' END AS status
    FROM wanted AS w JOIN inventory AS i
      ON i.release = w.release AND (w.id = ANY (i.installed) OR w.id = ANY (i.broken))
    WHERE CAST(:devices AS text[]) IS NULL
       OR i.id IN (SELECT inventory FROM device_inventory WHERE device = ANY (CAST(:devices AS text[])))
    GROUP BY w.remediation, i.id
)
"""
"""How each distinct set of packages stands to each staged remediation, or to its undoing, or only the sets of some
machines; sets without the source do not appear."""

_COUNTS = text(
    f"""{_STANDING}
SELECT s.remediation, count(*) FROM standing AS s JOIN device_inventory AS d USING (inventory)
WHERE s.status = 'affected' AND (CAST(:devices AS text[]) IS NULL OR d.device = ANY (CAST(:devices AS text[])))
GROUP BY s.remediation
"""  # noqa: S608 - constants only
)

_BY_DEVICE = text(
    f"""{_STANDING}
SELECT d.device, coalesce(s.status, 'not_affected')
FROM device_inventory AS d LEFT JOIN standing AS s USING (inventory)
WHERE CAST(:devices AS text[]) IS NULL OR d.device = ANY (CAST(:devices AS text[]))
"""  # noqa: S608 - constants only
)


def put(con: Connection, device: DeviceId, found: Inventory, name: str, sequence: int, now: datetime) -> bool:
    """Keep a machine's inventory in the place of its last one; false where a newer one is kept already.

    `name` is the inventory's hash as the machine's next check-in will say it. Packages are shared between machines
    by a hash that we take ourselves, so no machine can change what another one has.
    """
    packages = sorted(found.packages, key=lambda package: (package.name, package.architecture))
    content = _encode(packages)
    kept = (
        insert(inventory)
        .values(
            content=sha256(found.release.encode() + b"\0" + content).digest(),
            release=found.release,
            installed=[],
            broken=[],
            packages=b"",
            used_at=now,
        )
        .on_conflict_do_update(index_elements=[inventory.c.content], set_={"used_at": now})
        .returning(inventory.c.id, inventory.c.packages)
    )
    known = con.execute(kept).one()
    if not known.packages:
        _fill(con, known.id, found, content)
    values = {"inventory": known.id, "sha256": name, "sequence": sequence, "reported_at": now}
    statement = insert(device_inventory).values(device=device, **values)
    newer = device_inventory.c.sequence <= sequence
    changed = statement.on_conflict_do_update(
        index_elements=[device_inventory.c.device], set_=values, where=newer
    )
    return con.execute(changed.returning(device_inventory.c.device)).first() is not None


def _fill(con: Connection, number: int, found: Inventory, content: bytes) -> None:
    ids = _version_ids(con, found)
    broken = {ids[p.source, p.source_version] for p in found.packages if p.state is PackageState.BROKEN}
    con.execute(
        inventory.update()
        .where(inventory.c.id == number)
        .values(
            installed=sorted(set(ids.values()) - broken),
            broken=sorted(broken),
            packages=zlib.compress(content, 6),
        )
    )


def _version_ids(con: Connection, found: Inventory) -> dict[tuple[str, str], int]:
    """Number each source version of an inventory; new ones get a number and a sort key."""
    distinct = sorted({(package.source, package.source_version) for package in found.packages})
    like = [package_version.c[name] for name in ("release", "source", "version", "key")]
    rows = ((found.release, source, version, key_of(found.release, version)) for source, version in distinct)
    with staged(con, like, rows) as stage:
        names = [column.name for column in like]
        con.execute(insert(package_version).from_select(names, select(stage)).on_conflict_do_nothing())
        same = (
            (package_version.c.release == stage.c.release)
            & (package_version.c.source == stage.c.source)
            & (package_version.c.version == stage.c.version)
        )
        numbered = select(package_version.c.source, package_version.c.version, package_version.c.id)
        return {
            (source, version): number for source, version, number in con.execute(numbered.join(stage, same))
        }


def reported_hashes(con: Connection, devices: Sequence[DeviceId]) -> dict[DeviceId, str]:
    """Say by which hash each machine's inventory is known; machines without one are left out."""
    named = device_inventory.c.device == func.any(list(devices))
    statement = select(device_inventory.c.device, device_inventory.c.sha256).where(named)
    return {DeviceId(device): known for device, known in con.execute(statement)}


def get(con: Connection, device: DeviceId) -> Inventory | None:
    """Read a machine's inventory."""
    statement = (
        select(inventory.c.release, inventory.c.packages)
        .join(device_inventory, device_inventory.c.inventory == inventory.c.id)
        .where(device_inventory.c.device == device)
    )
    row = con.execute(statement).first()
    if row is None:
        return None
    content = zlib.decompressobj().decompress(row.packages, _MOST_BYTES)
    return Inventory(row.release, tuple(_decode(content)))


def affected_counts(
    con: Connection, remediations: Iterable[Remediation], device: DeviceId | None = None
) -> dict[RemediationId, int]:
    """Count, for each update, the machines that lack it, or one of them; updates that nobody lacks are left out."""
    with staged(con, _STAGE, _stage_rows(remediations)):
        asked = {"devices": None if device is None else [device], "undo": False}
        return {RemediationId(name): count for name, count in con.execute(_COUNTS, asked)}


def standing_of(
    con: Connection,
    remediation: RemediationId,
    devices: Iterable[DeviceId] | None = None,
    *,
    undo: bool = False,
) -> dict[DeviceId, Status]:
    """Say how each machine with an inventory stands to an update, or each of some machines; or to its `undo`.

    Of recipes inventories say nothing. Affected by an update that is to be undone is who has that very version (A7).
    """
    if by_recipe(remediation):
        return {}
    release, source, version = parts_of(remediation)
    wanted = {"devices": None if devices is None else list(devices), "undo": undo}
    with staged(con, _STAGE, [(remediation, release, source, key_of(release, version))]):
        return {DeviceId(device): Status(status) for device, status in con.execute(_BY_DEVICE, wanted)}


def _stage_rows(remediations: Iterable[Remediation]) -> Iterable[Sequence[object]]:
    for each in remediations:
        yield each.id, each.release, each.source, key_of(each.release, each.version)
