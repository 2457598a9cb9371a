"""Agents as archives: the same content is the same file, and nothing hostile leaves anything behind (R38)."""

import os
import resource
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forestall.agent import archive
from forestall.agent.archive import About
from forestall.domain.errors import AgentError

ABOUT = About("0.2.0", "cpython-311-x86_64-linux-gnu")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    for name, files in {"a": {"x": b"1", "y": b"2"}, "b": {"y": b"2", "x": b"1"}}.items():
        archive.write(tmp_path / name, ABOUT, files)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


NAMES = st.from_regex(r"[a-z]{1,3}(?:/[a-z]{1,3}){0,2}", fullmatch=True)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=6))
def test_what_is_unpacked_is_what_was_packed(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    """Or it is refused, where a file is also a folder."""
    folder = tmp_path_factory.mktemp("archive")
    archive.write(folder / "a", ABOUT, files)
    clash = any(one.startswith(f"{other}/") for one in files for other in files)
    if clash:
        with pytest.raises(AgentError, match="named-twice"):
            archive.unpack(folder / "a", folder / "slot")
        assert sorted(path.name for path in folder.iterdir()) == ["a"]
        return
    assert archive.about(folder / "a") == ABOUT
    archive.unpack(folder / "a", folder / "slot")
    found = tree(folder / "slot")
    assert {name: content for name, content in found.items() if name != "agent.json"} == files
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.joinpath("slot").rglob("*")}
    assert modes <= {0o644, 0o755}


def hostile(change: Callable[[zipfile.ZipInfo], None], name: str = "file") -> Callable[[Path], None]:
    def make(place: Path) -> None:
        archive.write(place, ABOUT, {})
        info = zipfile.ZipInfo(name)
        change(info)
        with warnings.catch_warnings(), zipfile.ZipFile(place, "a") as opened:
            warnings.simplefilter("ignore")  # of a name that is there twice
            opened.writestr(info, b"content")

    return make


def kind(mode: int) -> Callable[[zipfile.ZipInfo], None]:
    return lambda info: setattr(info, "external_attr", mode << 16)


def nothing(info: zipfile.ZipInfo) -> None:
    pass


def bomb(place: Path) -> None:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as opened:
        for number in range(6):
            opened.writestr(f"zeros{number}", bytes(100 * 2**20))


def crowd(place: Path) -> None:
    archive.write(place, ABOUT, {f"f{number}": b"" for number in range(archive.MOST_FILES)})


def liar(place: Path) -> None:
    """Its directory says another length than there is."""
    archive.write(place, ABOUT, {"file": b"content" * 9})
    content = bytearray(place.read_bytes())
    entry = content.rindex(b"PK\1\2")
    struct.pack_into("<I", content, entry + 24, 7)
    place.write_bytes(content)


def torn(place: Path) -> None:
    archive.write(place, ABOUT, {"file": os.urandom(4_096)})
    content = bytearray(place.read_bytes())
    at = content.index(b"PK\3\4", 4) + 500
    content[at] ^= 0xFF
    place.write_bytes(content)


HOSTILE = [
    pytest.param(hostile(nothing, "../outside"), "odd-name", id="above the slot"),
    pytest.param(hostile(nothing, "a/../../outside"), "odd-name", id="above the slot, hidden in the middle"),
    pytest.param(hostile(nothing, "/etc/outside"), "odd-name", id="an absolute path"),
    pytest.param(hostile(nothing, "a\\..\\outside"), "odd-name", id="another system's separators"),
    pytest.param(hostile(nothing, "a//b"), "odd-name", id="an empty part"),
    pytest.param(hostile(nothing, "./a"), "odd-name", id="a dot"),
    pytest.param(hostile(nothing, "folder/"), "odd-name", id="a folder of its own"),
    pytest.param(hostile(nothing, "a" * 200), "odd-name", id="a name too long for a disk"),
    pytest.param(hostile(nothing, "a\x1b[2Jb"), "odd-name", id="a name that rules a terminal"),
    pytest.param(hostile(nothing, "/".join("a" * 40)), "odd-name", id="folders without an end"),
    pytest.param(hostile(kind(stat.S_IFLNK | 0o777)), "no-plain-file", id="a symbolic link"),
    pytest.param(hostile(kind(stat.S_IFBLK | 0o666)), "no-plain-file", id="a device"),
    pytest.param(hostile(kind(stat.S_IFIFO | 0o666)), "no-plain-file", id="a pipe"),
    pytest.param(hostile(nothing, "agent.json"), "named-twice", id="the same name twice"),
    pytest.param(hostile(nothing, "agent.json/x"), "named-twice", id="below a file"),
    pytest.param(
        hostile(lambda info: setattr(info, "compress_type", zipfile.ZIP_LZMA)),
        "unreadable-method",
        id="a method that nobody needs",
    ),
    pytest.param(bomb, "too-big", id="600 MiB in half a mebibyte"),
    pytest.param(crowd, "too-many-files", id="more files than an agent has"),
    pytest.param(liar, "torn-archive", id="a length that is a lie"),
    pytest.param(torn, "torn-archive", id="a byte that fell over"),
    pytest.param(lambda place: place.write_bytes(b""), "torn-archive", id="an empty file"),
    pytest.param(lambda place: place.write_bytes(b"PK\5\6" * 9), "torn-archive", id="no archive at all"),
]


@pytest.mark.parametrize(("make", "reason"), HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_leaves_nothing(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    folder = tmp_path / "slots"
    folder.mkdir()
    make(tmp_path / "a")
    with pytest.raises(AgentError, match=f"^{reason}"):
        archive.unpack(tmp_path / "a", folder / "slot")
    assert (sorted(path.name for path in tmp_path.iterdir()), list(folder.iterdir())) == (["a", "slots"], [])


@pytest.mark.parametrize("content", [b"[]", b"{}", b"{", b'{"version": "1"}' + b" " * 5_000])
def test_an_archive_that_does_not_say_what_it_is_is_none(tmp_path: Path, content: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as opened:
        opened.writestr("agent.json", content)
    with pytest.raises(AgentError, match="no-agent"):
        archive.about(tmp_path / "a")


def test_a_disk_that_takes_no_more_leaves_nothing_behind(tmp_path: Path) -> None:
    """The limit of this process stands for a full disk: a write fails in the middle of a file."""
    archive.write(tmp_path / "a", ABOUT, {"file": b"x" * 10_000, "before": b"y"})
    (tmp_path / "slots").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            archive.unpack(tmp_path / "a", tmp_path / "slots/slot")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "slots").iterdir()) == []


def test_what_does_not_fit_twice_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="too little space"):
        archive._room(tmp_path, 1 << 60)
