"""Files with secrets: which ones are read, and which are refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from forestall.domain.errors import InputError
from forestall.private_file import password_in


def held(path: Path, content: bytes = b"word\n", mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda path: held(path, mode=0o640), "chmod 600", id="a group can read it"),
        pytest.param(lambda path: held(path, mode=0o604), "chmod 600", id="everybody can read it"),
        pytest.param(lambda path: path.mkdir(0o700), "chmod 600", id="no file at all"),
        pytest.param(lambda path: os.mkfifo(path, 0o600), "chmod 600", id="a pipe: nobody waits for it"),
        pytest.param(lambda _path: None, "No such file", id="not there"),
        pytest.param(lambda path: held(path, b"\xff"), "UTF-8", id="no text"),
    ],
)
def test_a_secret_that_is_not_ours_alone_is_refused(tmp_path: Path, make: Callable[[Path], None], why: str):
    make(tmp_path / "word")
    with pytest.raises(InputError, match=why):
        password_in(tmp_path / "word")


def test_a_secret_belongs_to_root_or_to_who_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, owner = tmp_path / "word", os.geteuid() or 1
    held(path, "wörd \r\n".encode())
    os.chown(path, owner, -1)
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert password_in(path) == "wörd "
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(InputError, match="let root or this account own it"):
        password_in(path)
