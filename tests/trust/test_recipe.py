"""Recipes on the wire: what cannot be carried out is refused before anybody signs it, and on the machine."""

import json
from collections.abc import Mapping
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.domain.evidence import Status
from forestall.domain.recipe import (
    Answer,
    Payload,
    PutFile,
    Question,
    RunPayload,
    SetKernel,
    UpdateAgent,
    read_code,
    verdict,
)
from forestall.trust.recipe import RecipeMessage, recipe_of

SHA = "0" * 64
RUN = {
    "kind": "run-payload",
    "payload": {"sha256": SHA, "length": 10},
    "install": {"arguments": ["{payload}", "--silent"], "limit_seconds": 600},
    "detect": [{"kind": "content", "path": "/opt/tool/version", "sha256": SHA}],
}
PUT = {
    "kind": "put-file",
    "payload": {"sha256": SHA, "length": 10},
    "path": "/var/lib/clamav/main.cvd",
    "owner": "clamav",
    "group": "clamav",
    "mode": 0o644,
}
AGENT = {
    "kind": "update-agent",
    "payload": {"sha256": SHA, "length": 10},
    "platform": "cpython-311-x86_64-linux-gnu",
}
SET = {"kind": "set-kernel", "key": "net.ipv4.tcp_syncookies", "value": "1"}
ASK = {"kind": "question", "arguments": ["/usr/bin/tool"], "limit_seconds": 9, "fixed": [0], "affected": [1]}


def read(recipe: Mapping[str, object]) -> object:
    try:
        return recipe_of(msgspec.json.decode(json.dumps(recipe), type=RecipeMessage))
    except msgspec.ValidationError as error:
        return str(error)


def test_each_kind_of_recipe_is_read_whole() -> None:
    run = read(
        {
            **RUN,
            "detect": [ASK, *RUN["detect"]],
            "undo": {"arguments": ["/usr/bin/rm", "x"], "limit_seconds": 1},
        }
    )
    assert isinstance(run, RunPayload)
    assert (len(run.detect), run.undo is not None, run.install.done) == (2, True, {0})
    assert isinstance(
        read({**PUT, "check": {"arguments": ["/usr/sbin/sshd", "-t"], "limit_seconds": 9}}), PutFile
    )
    assert read(SET) == SetKernel("net.ipv4.tcp_syncookies", "1")
    assert read(AGENT) == UpdateAgent(Payload(SHA, 10), "cpython-311-x86_64-linux-gnu")


def with_command(*arguments: str) -> dict[str, object]:
    return {**RUN, "install": {"arguments": list(arguments), "limit_seconds": 1}}


REFUSED = [
    pytest.param(with_command("/bin/sh", "-c", "x"), "shell", id="a shell"),
    pytest.param(with_command("/usr/bin/bash5.2"), "shell", id="a shell with its version"),
    pytest.param(with_command("/usr/bin/env", "sh"), "shell", id="what runs what its arguments say"),
    pytest.param(with_command("rm", "x"), "absolute", id="a program of whatever PATH says"),
    pytest.param(with_command(), "length >= 1", id="no program at all"),
    pytest.param(with_command("/bin/true\u0000"), "regex", id="a NUL"),
    pytest.param(with_command("/bin/true", "a\nb"), "regex", id="a line feed"),
    pytest.param(
        {**RUN, "install": {"arguments": ["/bin/true"], "limit_seconds": 7201}},
        "<= 7200",
        id="over two hours",
    ),
    pytest.param({**RUN, "install": "reboot"}, "object", id="a command line"),
    pytest.param({**RUN, "detect": []}, "length >= 1", id="nothing that tells whether it worked"),
    pytest.param({**RUN, "detect": [{**ASK, "affected": [0]}]}, "two things", id="a code that means both"),
    pytest.param({**RUN, "shell": True}, "unknown field", id="a field that nobody knows"),
    pytest.param({**RUN, "kind": "run-anything"}, "Invalid value", id="a kind that nobody knows"),
    pytest.param({**RUN, "payload": {"sha256": "abc", "length": 1}}, "regex", id="no hash"),
    pytest.param({**PUT, "path": "/etc/../root/x"}, "plain path", id="a path that climbs"),
    pytest.param({**PUT, "path": "//etc/x"}, "plain path", id="a path with two meanings"),
    pytest.param({**PUT, "path": "etc/x"}, "regex", id="a path from nowhere"),
    pytest.param({**PUT, "mode": 0o4755}, "mode 4755", id="a program that runs as its owner"),
    pytest.param({**PUT, "mode": 0o666}, "mode 0666", id="a file that everybody may write"),
    pytest.param({**PUT, "owner": "root:x"}, "no name", id="an owner that is none"),
    pytest.param({**SET, "key": "../../etc/passwd"}, "no kernel parameter", id="a parameter that is a path"),
    pytest.param({**AGENT, "platform": "../x"}, "regex", id="machines that are a path"),
    pytest.param(
        {**AGENT, "install": {"arguments": ["/bin/x"]}}, "unknown field", id="an agent with a program"
    ),
    pytest.param({**SET, "key": "net/ipv4"}, "no kernel parameter", id="a parameter with a slash"),
    pytest.param({**SET, "value": "1\nkernel.x = 2"}, "no kernel parameter", id="a value of two lines"),
]


@pytest.mark.parametrize(("recipe", "said"), REFUSED)
def test_what_cannot_be_is_refused_with_a_reason(recipe: dict[str, object], said: str) -> None:
    """A10, T15."""
    found = read(recipe)
    assert isinstance(found, str)
    assert said in found


CODES = Question(("/usr/bin/tool",), timedelta(seconds=1), frozenset({0}), frozenset({1}), frozenset({9}))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        pytest.param(0, Status.FIXED, id="fixed"),
        pytest.param(1, Status.AFFECTED, id="affected"),
        pytest.param(9, Status.PENDING_RESTART, id="waits for a restart"),
        pytest.param(2, Status.UNKNOWN, id="a code without a meaning"),
        pytest.param(-9, Status.UNKNOWN, id="killed"),
        pytest.param(None, Status.UNKNOWN, id="no answer"),
    ],
)
def test_an_exit_code_means_what_the_recipe_says_or_nothing(code: int | None, status: Status) -> None:
    """A2."""
    assert read_code(CODES, code).status is status


answers = st.builds(
    Answer,
    st.sampled_from([Status.AFFECTED, Status.UNKNOWN, Status.PENDING_RESTART, Status.FIXED]),
    st.just("because"),
)


@given(st.lists(answers))
def test_fixed_is_what_every_check_calls_fixed(found: list[Answer]) -> None:
    """A2: one that is affected or unknown is never outvoted, and nothing asked is nothing known."""
    status = verdict(found).status
    assert (status is Status.FIXED) == (bool(found) and {each.status for each in found} == {Status.FIXED})
    assert (status is Status.AFFECTED) == (Status.AFFECTED in {each.status for each in found})
