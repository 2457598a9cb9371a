"""A company's policy file: what it changes, and what is refused with file, line and the nearest right name."""

# ruff: noqa: E501 - a table reads best one row a line

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from forestall.domain.duration import format_duration
from forestall.domain.errors import InputError
from forestall.domain.policy import Policy
from forestall.server.policy_file import load_policy


def written(directory: Path, text: str) -> Path:
    path = directory / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_is_the_process_as_it_is(tmp_path: Path):
    assert load_policy(written(tmp_path, "# nothing to change\n")) == Policy()


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path):
    text = """
        voluntary_period = "10d"
        removals_a_minute = 5
        goal = 1
        second_person = false
        waves = [0.01, 1]
        bakes = ["2h 30m"]
        imminent_bakes = ["10m"]
    """
    assert load_policy(written(tmp_path, text)) == Policy(
        voluntary_period=timedelta(days=10),
        removals_a_minute=5,
        goal=1.0,
        second_person=False,
        waves=(0.01, 1.0),
        bakes=(timedelta(hours=2, minutes=30),),
        imminent_bakes=(timedelta(minutes=10),),
    )


def as_toml(value: object) -> str:
    match value:
        case timedelta():
            return f'"{format_duration(value)}"'
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(as_toml, value))}]"
        case _:
            return str(value).lower()


def test_every_number_can_be_written(tmp_path: Path):
    lines = [f"{each.name} = {as_toml(getattr(Policy(), each.name))}" for each in fields(Policy)]
    assert load_policy(written(tmp_path, "\n".join(lines))) == Policy()


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        pytest.param('\nvolutary_period = "9d"', 2, "did you mean “voluntary_period”?", id="a misspelt name"),
        pytest.param("colour = 1", 1, "known are: voluntary_period, ", id="a name like no other"),
        pytest.param("[policy]\ngoal = 1", 1, "there is no “policy”", id="a table"),
        pytest.param('goal = 0.9\nrecheck_after = "ten"', 2, "recheck_after: “ten” is not a duration; write 15m", id="an impossible duration"),
        pytest.param("recheck_after = 600", 1, "“600” is not a duration", id="a number without a unit"),
        pytest.param('bakes = ["1h", "soon", "2h"]', 1, "bakes: “soon” is not a duration", id="an impossible duration in a list"),
        pytest.param('voluntary_period = "15d"', 1, "must lie within 0 and 14 days (P3.1)", id="P3.1: a deadline after more than 14 days"),
        pytest.param('\n\nservice_pack_period = "22d"', 3, "must lie within 0 and 21 days (P3.3)", id="P3.3: a service pack after more than 21 days"),
        pytest.param('voluntary_period = "5d"', 1, "voluntary_period_likely more danger never gives more time", id="P3.1: the line that does not fit is named"),
        pytest.param('goal = 1\nremoval_after_warning = "12m"', 2, "recheck_after must come 3 minutes before", id="P6.4: no room for the re-check"),
        pytest.param("goal = nan", 1, "must lie within 0 and 1", id="no number"),
        pytest.param('goal = "99 %"', 1, "Expected `float`, got `str`", id="a percentage in words"),
        pytest.param('restart = "always"', 1, "Invalid enum value 'always'", id="A6: nobody who could restart"),
        pytest.param("second_person = 1", 1, "Expected `bool`, got `int`", id="A9: one is not true"),
        pytest.param("removals_a_minute = true", 1, "Expected `int`, got `bool`", id="A8: true is not one"),
        pytest.param("removals_a_minute = 2.5", 1, "Expected `int`", id="A8: half a removal"),
        pytest.param('waves = "1.0"', 1, "Expected `array`", id="A8: one share for a list of shares"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_refused(tmp_path: Path, text: str, line: int, says: str):
    path = written(tmp_path, text)
    with pytest.raises(InputError) as refused:
        load_policy(path)
    assert f"{path}, line {line}: " in str(refused.value)
    assert says in str(refused.value)


def test_all_that_is_impossible_is_said_at_once(tmp_path: Path):
    text = 'goal = 2.0\nexemption_at_most = "90d"\n'
    with pytest.raises(InputError) as refused:
        load_policy(written(tmp_path, text))
    lines = str(refused.value).splitlines()
    assert {line.split(": ")[0].rpartition(", ")[2] for line in lines} == {"line 1", "line 2"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"goal =", "is not TOML", id="half a line"),
        pytest.param(b"goal = 1\ngoal = 1", "is not TOML", id="a name twice"),
        pytest.param(b"\xff\xfe", "is not TOML", id="not text"),
        pytest.param(b"goal = 1\x00", "is not TOML", id="a NUL"),
    ],
)
def test_what_is_no_policy_file_is_refused(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "policy.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        load_policy(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"policy\.toml: cannot be read"):
        load_policy(tmp_path / "policy.toml")
