"""Running programs: bounded in time and in output, with all that they start."""

import sys
from datetime import timedelta
from pathlib import Path

from forestall.agent.program import CLEAN_ENVIRONMENT, run

MINUTE = timedelta(minutes=1)
SOON = timedelta(milliseconds=300)


def python(*lines: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "\n".join(lines))


def test_output_and_errors_are_kept_apart_or_go_to_a_transcript(tmp_path: Path) -> None:
    both = python("import sys", "print('out')", "print('err', file=sys.stderr)", "sys.exit(3)")
    apart = run(CLEAN_ENVIRONMENT, both, MINUTE)
    assert (apart.status, apart.output, apart.errors) == (3, "out\n", "err\n")
    (tmp_path / "log").write_text("before\n")
    together = run(CLEAN_ENVIRONMENT, both, MINUTE, tmp_path / "log")
    assert (together.status, sorted(together.output.split())) == (3, ["err", "out"])
    assert (tmp_path / "log").read_text().startswith("before\n")


def test_what_does_not_end_is_stopped_even_where_it_ignores_being_asked(tmp_path: Path) -> None:
    """It and what it started: nothing holds the pipe, or the transcript, any more."""
    stubborn = python(
        "import os, signal, subprocess, sys, time",
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])",
        "time.sleep(600)",
    )
    assert "stopped after" in run(CLEAN_ENVIRONMENT, stubborn, SOON).output
    ran = run(CLEAN_ENVIRONMENT, stubborn, SOON, tmp_path / "log")
    assert ran.status is None
    assert "stopped after" in ran.output


def test_a_program_that_never_stops_talking_is_stopped() -> None:
    ran = run(CLEAN_ENVIRONMENT, ("/usr/bin/yes",), MINUTE, most=100_000)
    assert ran.status is None
    assert "more than 100000 bytes" in ran.output


def test_a_transcript_stays_short(tmp_path: Path) -> None:
    """The program ends when it sees its transcript begun anew."""
    talk = python(
        "import os",
        "longest = 0",
        "while os.fstat(1).st_size >= longest:",
        "    longest = os.fstat(1).st_size",
        "    if longest < 1_000_000: print('x' * 100_000, flush=True)",
    )
    ran = run(CLEAN_ENVIRONMENT, talk, MINUTE, tmp_path / "log", most=500_000)
    assert ran.status == 0
    assert (tmp_path / "log").stat().st_size < 500_000


def test_a_program_that_is_not_there_is_told() -> None:
    assert "does not start" in run(CLEAN_ENVIRONMENT, ("/nowhere/at/all",), MINUTE).output
