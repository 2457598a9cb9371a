"""The mark on what we closed can always be read back, and what stood there before comes back (A13)."""

# ruff: noqa: E501 - a table reads best one row a line

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.network.mark import Mark, lost, read_mark, write_mark

NAMES = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789.+-"), min_size=1, max_size=20)
MARKS = st.builds(
    Mark, NAMES, st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple), st.binary(max_size=60),
    st.none() | st.integers(1, 4094),
)  # fmt: skip


@pytest.mark.parametrize(
    ("mark", "longest", "written"),
    [
        pytest.param(Mark("m-1", ("a-1",), b"Room 12"), 64, b"[forestall m-1 a-1] Room 12", id="text of before is kept"),
        pytest.param(Mark("m-1", ("a-1",)), 64, b"[forestall m-1 a-1]", id="nothing stood there"),
        pytest.param(Mark("m-1", ("a-1", "b-2"), b"x", 10), 64, b"[forestall m-1 a-1,b-2 vlan 10] x", id="two campaigns, a VLAN"),
        pytest.param(Mark("m-1", ("a-1",), b"Room 12"), 24, b"[forestall m-1 a-1] Roo~", id="what does not fit is cut"),
        pytest.param(Mark("m-1", ("a-1",), b"Room 12"), 19, b"[forestall m-1 a-1]", id="no room for any of it"),
        pytest.param(Mark("m-1", ("a-1",), b"Room 12"), 18, None, id="no room for the mark itself"),
        pytest.param(Mark("m-1", ("a-1",), "Büro".encode()), 23, b"[forestall m-1 a-1] B~", id="no letter is cut in two"),
    ],
)  # fmt: skip
def test_a_mark_is_written(mark: Mark, longest: int, written: bytes | None):
    assert write_mark(mark, longest) == written


def test_what_was_cut_off_is_told():
    assert "Room 12" in lost(Mark("m-1", ("a-1",), b"Room 12"), b"[forestall m-1 a-1] Roo~")
    assert lost(Mark("m-1", ("a-1",), b"Room 12"), b"[forestall m-1 a-1] Room 12") == ""


@given(MARKS, st.integers(0, 255))
def test_whatever_was_written_names_the_same_machine_and_campaigns(mark: Mark, longest: int):
    written = write_mark(mark, longest)
    if written is not None:
        read = read_mark(written)
        assert len(written) <= longest
        assert read is not None
        assert (read.device, read.campaigns, read.vlan) == (mark.device, mark.campaigns, mark.vlan)


@given(MARKS)
def test_with_room_enough_everything_comes_back(mark: Mark):
    written = write_mark(mark, 500)
    assert written is not None
    assert read_mark(written) == mark


@pytest.mark.parametrize(
    "text", [b"", b"Room 12", b"forestall m-1 a-1", b"[forestall]", b"x [forestall m-1 a-1] y", b"\xff\xfe"]
)
def test_other_peoples_texts_are_no_marks(text: bytes):
    assert read_mark(text) is None
