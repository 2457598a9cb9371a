"""Commands run as a person runs them, on an installation whose database is the test's own."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forestall.cli import main
from forestall.store.database import Database
from server.company import Company


@dataclass
class Said:
    """What a command said, and the number it ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs `forestall` with `--data`; the company is what is in its database."""

    directory: Path
    company: Company
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: object, code: int = 0) -> Said:
        """Run a command and expect how it ends."""
        said = self.run(*words, "--data", self.directory)
        assert said.code == code, said
        return said

    def run(self, *words: object) -> Said:
        """Run a command as it is."""
        self.capsys.readouterr()
        self.monkeypatch.setattr(sys, "argv", ["forestall", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = self.capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)


@pytest.fixture
def forestall(
    database: Database,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Shell:
    directory = tmp_path / "installation"
    directory.mkdir()
    (directory / "forestall.toml").write_text(f'[database]\nurl = "{database_url}"\n')
    monkeypatch.setenv("FORESTALL_USER", "aiko")
    return Shell(directory, Company(database), monkeypatch, capsys)
