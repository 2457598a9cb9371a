"""Tries to forge orders: `python benchmarks/forge.py [--mutants N] [--seed N] [--json]`.

Mutants: one file of a genuine repository (metadata, papers, a recipe's payload) is served with one byte or one field
changed, to a machine that would install at once. Tries: somebody who holds every online key, the server and the
database wants his own bytes installed, or approved ones everywhere at once.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from laboratory.attacks import attack
from laboratory.forger import Machine, Shelf, changed_byte, changed_field, hint_of, same_meaning, served
from laboratory.office import AT_ONCE, Office, approval_for, declaration_for

from forestall.clock import stopwatch
from forestall.domain.authority import Restart
from forestall.domain.order import Step
from forestall.domain.recipe import Payload
from forestall.trust.documents import OrderDocument
from forestall.trust.metadata import read_root, signed_by
from forestall.trust.recipe import PayloadMessage, PutFileMessage, RecipeMessage
from forestall.trust.roles import Role

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
UPDATE = "bookworm/openssl/3.0.22-1~deb12u2"
CAMPAIGN = "campaign-1"
HINT = hint_of(CAMPAIGN, NOW)
DEFINITIONS = b'{"signatures": [{"name": "Worm.A", "bytes": "4d5a90"}], "version": 27455}'
PLACE = "opt/definitions"
OWN = {"passwd": os.geteuid(), "group": os.getegid()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mutants", type=int, default=10_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--json", action="store_true")
    wanted = arguments.parse_args()
    started = stopwatch()
    with tempfile.TemporaryDirectory() as scratch:
        draw = Random(wanted.seed)  # noqa: S311 - places in a file, not secrets
        figures = {**mutate(Path(scratch), wanted.mutants, draw), **attack(Path(scratch), 500)}
    figures["seconds"] = round(stopwatch() - started, 1)
    if wanted.json:
        print(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")
    sys.exit(any(figures[name] for name in ("executed", "foreign", "over_cap", "unrecorded")))


def mutate(scratch: Path, mutants: int, draw: Random) -> dict[str, object]:
    """Serve forged files to fresh machines; count what was executed and what was recorded."""
    found = Counter[str]()
    kinds = {"package": packages(scratch / "package"), "recipe": recipes(scratch / "recipe")}
    for number, (kind, office) in enumerate(kinds.items()):
        folder = scratch / f"{kind}-machines"
        folder.mkdir()
        found.update(forged(office, folder, mutants * (number + 1) // 2 - found["mutants"], draw))
    return {**found, "executed": found["executed"], "unrecorded": found["mutants"] - found["recorded"]}


def forged(office: Office, scratch: Path, mutants: int, draw: Random) -> Counter[str]:
    """Serve one company's files to machines of their own, each time one of them forged."""
    first = office.repository.root(1)
    found = Counter[str]()
    with served(Shelf(office.repository.directory)) as shelf:
        due = machine(scratch, "genuine", first).look(shelf.url, [HINT], NOW)
        if list(due.values()) != [Step.FORCE]:
            raise SystemExit(f"the genuine order is not obeyed: {due}")
        files = shelf.genuine()
        # Only what is in force is fetched; the rest would be no test.
        names = sorted(name for name in files if name != "metadata/1.root.json" and in_force(office, name))
        while found["mutants"] < mutants:
            name = names[found["mutants"] % len(names)]
            content = (changed_field if draw.random() < 0.5 else changed_byte)(files[name], draw)
            means_the_same = same_meaning(content, files[name]) and "payloads" not in name
            if content == files[name] or means_the_same:
                continue
            shelf.forged = {name: content}
            target = machine(scratch, f"m{found['mutants']}", first)
            steps = target.look(shelf.url, [HINT], NOW)
            found["executed"] += Step.FORCE in steps.values() or (target.folder / PLACE).exists()
            found["recorded"] += target.recorded() > 0
            found["mutants"] += 1
        found["files"] = len(names)
    return found


def packages(folder: Path) -> Office:
    """Sign an order that is due only because two people declared the threat imminent, and a second root."""
    return signed(folder, UPDATE, "debian", None)


def recipes(folder: Path) -> Office:
    """The same for a recipe, which puts its payload into a file."""
    account, group = (named(Path(f"/etc/{table}"), own) for table, own in OWN.items())
    sha256 = hashlib.sha256(DEFINITIONS).hexdigest()
    recipe = PutFileMessage(PayloadMessage(sha256, len(DEFINITIONS)), f"/{PLACE}", account, group, 0o644)
    office = signed(folder, "any/definitions/27455", "recipe", recipe)
    office.repository.put_payload(Payload(sha256, len(DEFINITIONS)), io.BytesIO(DEFINITIONS))
    return office


def signed(folder: Path, update: str, product: str, recipe: RecipeMessage | None) -> Office:
    office = Office(folder, NOW - timedelta(hours=1))
    release, source, version = update.split("/")
    order = OrderDocument(
        CAMPAIGN, 1, "upgrade", product, release, source, version, NOW - timedelta(days=1),
        NOW + timedelta(days=7), NOW + timedelta(hours=20), AT_ONCE, Restart.PERSON, "critical",
        {"en": "Security update.", "ja": "セキュリティ更新"},
    )  # fmt: skip
    approval = approval_for(order, recipe=recipe)
    office.sign([order], [approval], NOW, [declaration_for(order, NOW - timedelta(minutes=1))])
    root = read_root(office.root)
    root.signed.version += 1
    office.repository.put_metadata(Role.ROOT, 2, signed_by(root.signed, office.keys(Role.ROOT)))
    return office


def named(table: Path, number: int) -> str:
    """Name a user or a group of this machine."""
    lines = (line.split(":") for line in table.read_text().splitlines())
    return next(fields[0] for fields in lines if int(fields[2]) == number)


def in_force(office: Office, name: str) -> bool:
    folder, _, file = name.partition("/")
    if folder == "targets":
        return True
    role = Role(file.removesuffix(".json").rpartition(".")[2])
    return (office.repository.directory / name).read_bytes() == office.repository.newest(role)


def machine(scratch: Path, name: str, root: bytes) -> Machine:
    """Make a machine that knows its users, and has a place for definitions."""
    folder = scratch / name
    (folder / PLACE).parent.mkdir(parents=True)
    (folder / "etc").mkdir()
    for table in OWN:
        (folder / "etc" / table).write_bytes(Path("/etc", table).read_bytes())
    return Machine(folder, root, "d-1")


if __name__ == "__main__":
    main()
