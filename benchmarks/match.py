"""Figures for versions, matching and the bundle: `python benchmarks/match.py [--json]`."""

import argparse
import gzip
import json
import random
from collections.abc import Callable
from functools import cmp_to_key
from pathlib import Path

from forestall.agent.inventory.dpkg_status import read_status
from forestall.clock import stopwatch
from forestall.domain.advisory import Catalogue
from forestall.domain.inventory import Inventory
from forestall.domain.matching import open_updates, remediations
from forestall.domain.rating import worst_first
from forestall.domain.version import dpkg_key
from forestall.feeds.bundle import load_bundle

STATUS = Path(__file__).parents[1] / "tests" / "data" / "machine" / "dpkg-status.gz"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    wanted = arguments.parse_args()
    catalogue = load_bundle()
    inventory = read_status(gzip.decompress(STATUS.read_bytes()).decode())
    figures = {**bundle(catalogue), **matching(inventory, catalogue), **versions(catalogue)}
    if wanted.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:36} {value:>14,.6g}")


def best_of(times: int, work: Callable[[], object]) -> float:
    """Measure the quickest of some runs, in seconds."""
    seconds = []
    for _ in range(times):
        started = stopwatch()
        work()
        seconds.append(stopwatch() - started)
    return min(seconds)


def bundle(catalogue: Catalogue) -> dict[str, float]:
    return {
        "bundle_load_seconds": best_of(3, load_bundle),
        "advisories": len(catalogue.advisories),
        "vulnerabilities_with_facts": len(catalogue.facts),
    }


def matching(inventory: Inventory, catalogue: Catalogue) -> dict[str, float]:
    updates = remediations(catalogue.advisories)
    return {
        "packages": len(inventory.packages),
        "open_advisories": len(open_updates(inventory, catalogue.advisories)),
        "match_seconds": best_of(5, lambda: open_updates(inventory, catalogue.advisories)),
        "remediations": len(updates),
        "propose_all_seconds": best_of(3, lambda: worst_first(updates, catalogue.facts)),
    }


def versions(catalogue: Catalogue) -> dict[str, float]:
    """Compare comparing by precomputed key with the naive way: policy 5.6.12 letter by letter, per comparison."""
    texts = sorted({p.fixed for a in catalogue.advisories for p in a.products if p.fixed})
    draw = random.Random(1)  # noqa: S311 - the same pairs in every run
    pairs = [(draw.choice(texts), draw.choice(texts)) for _ in range(20_000)]
    keys = [(dpkg_key(first) or b"", dpkg_key(second) or b"") for first, second in pairs]
    wrong = sum(
        (first < second) != (naive(a, b) < 0) for (a, b), (first, second) in zip(pairs, keys, strict=True)
    )
    by_key = best_of(5, lambda: [first < second for first, second in keys]) / len(pairs)
    by_hand = best_of(1, lambda: [naive(first, second) < 0 for first, second in pairs]) / len(pairs)
    making = best_of(3, lambda: [dpkg_key(text) for text in texts]) / len(texts)
    shuffled = draw.sample(texts, len(texts))
    by_naive = best_of(1, lambda: sorted(shuffled, key=cmp_to_key(naive)))
    return {
        "versions": len(texts),
        "keys_per_second": 1 / making,
        "key_comparison_ns": by_key * 1e9,
        "naive_comparison_ns": by_hand * 1e9,
        "key_is_faster_times": by_hand / by_key,
        "sort_by_key_is_faster_times": by_naive
        / best_of(3, lambda: sorted(shuffled, key=lambda t: dpkg_key(t) or b"")),
        "disagreements": wrong,
    }


def naive(first: str, second: str) -> int:
    """Compare as dpkg's C code does, one character after the other."""
    (epoch, version, revision), (other_epoch, other_version, other_revision) = split(first), split(second)
    return (epoch - other_epoch) or part(version, other_version) or part(revision, other_revision)


def split(text: str) -> tuple[int, str, str]:
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    upstream, dash, revision = rest.rpartition("-")
    return int(epoch), upstream if dash else rest, revision if dash else ""


def part(a: str, b: str) -> int:
    i = j = 0
    while i < len(a) or j < len(b):
        while (i < len(a) and not a[i].isdigit()) or (j < len(b) and not b[j].isdigit()):
            difference = weight(a, i) - weight(b, j)
            if difference:
                return difference
            i, j = i + 1, j + 1
        start, other = i, j
        while i < len(a) and a[i].isdigit():
            i += 1
        while j < len(b) and b[j].isdigit():
            j += 1
        difference = int(a[start:i] or 0) - int(b[other:j] or 0)
        if difference:
            return difference
    return 0


def weight(text: str, place: int) -> int:
    if place >= len(text) or text[place].isdigit():
        return 0
    if text[place] == "~":
        return -1
    return ord(text[place]) + (0 if text[place].isalpha() else 256)


if __name__ == "__main__":
    main()
