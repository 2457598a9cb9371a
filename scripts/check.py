"""Runs every check, shows each one's seconds, and ends with the line `N passed, N failed`."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
STEPS = (
    ("Format", ("ruff", "format", "--check", ".")),
    ("Lint", ("ruff", "check", ".")),
    ("Types", ("mypy",)),
    ("Layers", ("lint-imports", "--no-cache", "--no-logo")),
)
COVERAGE = "--coverage"


def main(arguments: list[str]) -> int:
    """Run all steps, also after a failed one; `arguments` choose tests as pytest does, else all run.

    `--coverage` also measures how much of the product the tests reach, which takes them about twice as long.
    """
    outcomes = [step(title, command) for title, command in STEPS]
    chosen = [each for each in arguments if each != COVERAGE] or ["-n", "auto"]
    runner = ("coverage", "run", "-m") if COVERAGE in arguments else ()
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        outcomes.append(step("Tests", (*runner, "pytest", "--durations=5", f"--junitxml={report}", *chosen)))
        tests, bad_tests = counts(report)
    if runner:
        outcomes.append(step("Joined", ("coverage", "combine", "--quiet")))
        outcomes.append(step("Coverage", ("coverage", "report", "--sort=cover")))
    print()
    for title, seconds, ok in outcomes:
        print(f"{title:<8} {seconds:6.1f} s  {'ok' if ok else 'FAILED'}")
    bad_steps = [title for title, _, ok in outcomes if not ok]
    failed = bad_tests + sum(title != "Tests" or not bad_tests for title in bad_steps)
    passed = tests - bad_tests + sum(ok for title, _, ok in outcomes if title != "Tests")
    print(f"{passed} passed, {failed} failed")
    return 1 if bad_steps else 0


def step(title: str, command: tuple[str, ...]) -> tuple[str, float, bool]:
    """Run one check under a heading; answers title, seconds and whether it passed."""
    print(f"\n== {title}: {' '.join(command)}", flush=True)
    began = time.perf_counter()
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, check=False)
    return title, time.perf_counter() - began, done.returncode == 0


def counts(report: Path) -> tuple[int, int]:
    """Read how many tests ran and how many of them did not pass; 0 where pytest got to none."""
    if not report.exists():
        return 0, 0
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - written by pytest just now
    ran = failed = 0
    for suite in suites:
        ran += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return ran, failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
