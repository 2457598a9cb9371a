"""Make the bundle of advisories and facts out of a folder of published data: `python data/make_bundle.py DIR`.

DIR is laid out as `data/README.md` says. The same input gives the same bytes. What is kept of each record is what
`src/forestall/feeds` reads of it; what a licence keeps from us (changelog texts) stays out.
"""

import gzip
import json
import lzma
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

BUNDLED = Path(__file__).parents[1] / "src" / "forestall" / "feeds" / "bundled"
CVSS = ("cvssV4_0", "cvssV3_1", "cvssV3_0", "cvssV2_0")


def main(folder: Path) -> None:
    """Write the bundle's files and print what each holds."""
    advisories = [
        _only(r, "id", "date", "title", "cves", "affected")
        for r in _lines(_newest(folder, "debian/advisories-*"))
    ]
    uploads = [
        _only(r, "source", "version", "distribution", "date", "advisory", "cves")
        for r in _lines(_newest(folder, "debian/bookworm-uploads-*"))
    ]
    kev = json.loads(_read(_newest(folder, "kev/known_exploited_vulnerabilities-*.json.gz")))
    named = {cve for record in advisories + uploads for cve in record["cves"]}
    named |= {entry["cveID"] for entry in kev["vulnerabilities"]}
    records = {r["cveMetadata"]["cveId"]: _reduced(r) for r in _lines(folder / "cve/cve5-records.jsonl.xz")}
    for row in _lines(folder / "ssvc/vulnrichment-labelled-dev.jsonl.gz"):
        records.setdefault(row["cve"], _labelled(row))

    _write("advisories.jsonl.gz", _jsonl(advisories))
    _write("bookworm-uploads.jsonl.gz", _jsonl(uploads))
    _write("known_exploited_vulnerabilities.json.gz", json.dumps(_reduced_kev(kev), ensure_ascii=False))
    _write("epss_scores.csv.gz", "".join(_scores(_newest(folder, "epss/epss_scores-*"), named)))
    _write("cve5-records.jsonl.xz", _jsonl(records[cve] for cve in sorted(named & records.keys())))
    _write(
        "descriptions.jsonl.xz",
        _jsonl(
            _only(r, "cve", "weakness", "description")
            for r in _lines(_newest(folder, "cve/descriptions-*"))
            if r["cve"] in named
        ),
    )


def _newest(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern))


def _read(path: Path) -> str:
    unpack = lzma.decompress if path.suffix == ".xz" else gzip.decompress
    return unpack(path.read_bytes()).decode()


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in _read(path).splitlines()]


def _only(record: dict, *names: str) -> dict:
    return {name: record[name] for name in names if record.get(name) is not None}


def _reduced(record: dict) -> dict:
    containers = record["containers"]
    return {
        "cveMetadata": _only(record["cveMetadata"], "cveId", "state"),
        "containers": {
            "cna": _container(containers["cna"]),
            "adp": [
                kept for adp in containers.get("adp", []) if (kept := _container(adp)).keys() - {"title"}
            ],
        },
    }


def _container(given: dict) -> dict:
    kept = {
        "title": given.get("title"),
        "descriptions": [text for text in given.get("descriptions", []) if text["lang"].startswith("en")][:1],
        "metrics": [kept for metric in given.get("metrics", []) if (kept := _reduced_metric(metric))],
        "problemTypes": [
            {"descriptions": [{"cweId": text["cweId"]}]}
            for problem in given.get("problemTypes", [])
            for text in problem["descriptions"]
            if "cweId" in text
        ],
    }
    for text in kept["descriptions"]:
        text.pop("supportingMedia", None)
    return {name: value for name, value in kept.items() if value}


def _reduced_metric(metric: dict) -> dict:
    kept = {name: _only(metric[name], "baseScore", "vectorString") for name in CVSS if name in metric}
    if metric.get("other", {}).get("type") in {"ssvc", "kev"}:
        kept["other"] = metric["other"]
    return kept


def _labelled(row: dict) -> dict:
    """Write one of CISA's labels as the CVE record it came from."""
    options = {
        "Exploitation": "exploitation",
        "Automatable": "automatable",
        "Technical Impact": "technical_impact",
    }
    ssvc = {"options": [{name: row["ssvc"][key]} for name, key in options.items()]}
    scores = [
        {
            "cvssV" + cvss["version"].replace(".", "_"): {
                "baseScore": cvss["baseScore"],
                "vectorString": cvss["vector"],
            }
        }
        for cvss in row["cvss"]
    ]
    cna = {
        "title": row["title"],
        "descriptions": [{"lang": "en", "value": row["description"]}],
        "problemTypes": [{"descriptions": [{"cweId": cwe}]} for cwe in row["cwe"]],
    }
    return {
        "cveMetadata": {"cveId": row["cve"], "state": "PUBLISHED"},
        "containers": {
            "cna": {name: value for name, value in cna.items() if value},
            "adp": [{"metrics": [*scores, {"other": {"type": "ssvc", "content": ssvc}}]}],
        },
    }


def _reduced_kev(kev: dict) -> dict:
    names = (
        "cveID",
        "dateAdded",
        "vulnerabilityName",
        "shortDescription",
        "knownRansomwareCampaignUse",
        "cwes",
    )
    return _only(kev, "title", "catalogVersion", "dateReleased", "count") | {
        "vulnerabilities": [_only(entry, *names) for entry in kev["vulnerabilities"]]
    }


def _scores(path: Path, named: set[str]) -> Iterator[str]:
    for line in _read(path).splitlines(keepends=True):
        if line.startswith(("#", "cve,")) or line.partition(",")[0] in named:
            yield line


def _jsonl(records: Iterable[dict]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in records)


def _write(name: str, text: str) -> None:
    data = text.encode()
    packed = lzma.compress(data, preset=9) if name.endswith(".xz") else gzip.compress(data, 9, mtime=0)
    (BUNDLED / name).write_bytes(packed)
    print(f"{name}: {text.count(chr(10))} lines, {len(packed):,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python data/make_bundle.py DIR")
    main(Path(sys.argv[1]))
