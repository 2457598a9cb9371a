"""Tries to forge orders: `python benchmarks/forge.py [--mutants N] [--seed N] [--json]`.

Mutants: one file of a genuine repository is served with one byte or one field changed, to a machine that would
install at once. Tries: somebody who holds every online key, the server and the database wants his own bytes
installed, or approved ones everywhere at once.
"""

import argparse
import json
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
from forestall.domain.order import Restart, Step
from forestall.trust.documents import OrderDocument
from forestall.trust.metadata import read_root, signed_by
from forestall.trust.roles import Role

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
UPDATE = "bookworm/openssl/3.0.22-1~deb12u2"


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
    office = genuine(scratch / "company")
    shelf = Shelf(office.repository.directory)
    first = office.repository.root(1)
    with served(shelf):
        due = machine(scratch, "genuine", first).look(shelf.url, [hint_of("openssl-1", NOW)], NOW)
        if due != {UPDATE: Step.FORCE}:
            raise SystemExit(f"the genuine order is not obeyed: {due}")
        files = shelf.genuine()
        names = sorted(name for name in files if name != "metadata/1.root.json")
        # Only what is in force is fetched; the rest would be no test.
        names = [name for name in names if in_force(office, name)]
        executed: Counter[str] = Counter()
        recorded = tried = 0
        while tried < mutants:
            name = names[tried % len(names)]
            forged = (changed_field if draw.random() < 0.5 else changed_byte)(files[name], draw)
            if same_meaning(forged, files[name]):
                continue
            shelf.forged = {name: forged}
            target = machine(scratch, f"m{tried}", first)
            steps = target.look(shelf.url, [hint_of("openssl-1", NOW)], NOW)
            executed[name] += Step.FORCE in steps.values()
            recorded += target.recorded() > 0
            tried += 1
    return {
        "mutants": tried,
        "files": len(names),
        "executed": sum(executed.values()),
        "recorded": recorded,
        "unrecorded": tried - recorded,
    }


def genuine(folder: Path) -> Office:
    """Sign an order that is due only because two people declared the threat imminent, and a second root."""
    office = Office(folder, NOW - timedelta(hours=1))
    release, source, version = UPDATE.split("/")
    order = OrderDocument(
        "openssl-1", 1, "upgrade", "debian", release, source, version, NOW - timedelta(days=1),
        NOW + timedelta(days=7), NOW + timedelta(hours=20), AT_ONCE, Restart.PERSON, "critical",
        {"en": "Security update of openssl.", "ja": "openssl のセキュリティ更新"},
    )  # fmt: skip
    office.sign([order], [approval_for(order)], NOW, [declaration_for(order, NOW - timedelta(minutes=1))])
    root = read_root(office.root)
    root.signed.version += 1
    office.repository.put_metadata(Role.ROOT, 2, signed_by(root.signed, office.keys(Role.ROOT)))
    return office


def in_force(office: Office, name: str) -> bool:
    folder, _, file = name.partition("/")
    if folder == "targets":
        return True
    role = Role(file.removesuffix(".json").rpartition(".")[2])
    return (office.repository.directory / name).read_bytes() == office.repository.newest(role)


def machine(scratch: Path, name: str, root: bytes) -> Machine:
    folder = scratch / name
    folder.mkdir()
    return Machine(folder, root, "d-1")


if __name__ == "__main__":
    main()
