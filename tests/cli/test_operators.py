"""The operators' commands: tables for people, JSON for programs, exit codes, and faults as one sentence."""

# ruff: noqa: E501 - a table reads best one row a line

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import text

from cli.conftest import Shell
from forestall.agent import main as agent
from forestall.cli import main
from forestall.cli.output import harmless
from forestall.clock import utc_now
from forestall.domain.errors import InputError
from forestall.domain.evidence import Evidence, Status, Witness
from forestall.server.trust_place import trust_place
from forestall.store import evidence, feeds
from forestall.store.evidence import Observation
from forestall.trust.caps import Caps
from forestall.trust.device_ca import open_ca
from forestall.trust.metadata import fingerprint
from forestall.trust.roles import Role
from server.company import OPENSSL

HOSTILE = "\x1b[2Jhost\r\nforged line\u202e"


def commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
    for word, child in (below or {}).items():
        yield from commands(f"{name} {word}", child)


EVERY = [
    *commands("forestall", typer.main.get_command(main.app)),
    *commands("forestall-agent", typer.main.get_command(agent.app)),
]


@pytest.mark.parametrize(("name", "command"), EVERY, ids=[name for name, _ in EVERY])
def test_every_command_takes_json(name: str, command: Any):
    assert "--json" in [word for option in command.params for word in option.opts]


def test_the_life_of_a_campaign_from_the_command_line(forestall: Shell):
    """P2.1, P3.1, P3.4, A7, P7: the way of the README, step by step."""
    forestall.company.machine(name="laptop")
    (row,) = forestall("advisory", "ls", "--json").json
    assert (row["remediation"], row["affected"], row["rated"]) == (OPENSSL, 1, None)
    rated = forestall("rate", OPENSSL, "--expansion", "--reason", "a worm", "--json").json
    assert (rated["level"], rated["by"], rated["es"]["expansion"]) == ("critical", "aiko", True)
    assert forestall("advisory", "ls", "--json").json[0]["rated"] == "critical"
    started = forestall("campaign", "start", OPENSSL, "--voluntary", "8d", "--testing", "--json").json
    assert started == {"campaign": "openssl-1", "phase": "testing", "deadline_at": None}
    assert forestall("campaign", "distribute", "openssl-1", "--json").json["phase"] == "voluntary"
    shown = forestall("campaign", "show", "openssl-1", "--json").json
    assert {
        "campaign",
        "update",
        "phase",
        "deadline_at",
        "fixed",
        "pending_restart",
        "affected",
        "unknown",
        "exempt",
        "compliance",
        "concerned",
        "held",
    } <= set(shown)
    assert (shown["affected"], shown["compliance"]) == (1, [0.0, 0.0])
    halted = forestall("campaign", "halt", "openssl-1", "--reason", "printers", "--json").json
    assert (halted["campaign"], halted["because"]) == ("openssl-1", "printers")
    assert "halted: printers" in forestall("campaign", "show", "openssl-1").out
    assert forestall("campaign", "resume", "openssl-1", "--json").json == {
        "campaign": "openssl-1",
        "phase": "voluntary",
    }
    assert forestall("campaign", "close", "openssl-1", "--json").json["phase"] == "closed"
    assert forestall("campaign", "ls", "--json").json[0]["phase"] == "closed"
    again = forestall("campaign", "withdraw", "openssl-1", code=1)
    assert again.err == (
        "forestall: openssl-1 is closed: there is no step “withdraw” from there. "
        "It has ended; start another one: forestall campaign start\n"
    )
    kinds = [
        entry["event"]["kind"]
        for entry in forestall("ledger", "show", "--campaign", "openssl-1", "--json").json
    ]
    assert kinds == ["campaign_started", "enlisted", "phase_changed", "halted", "resumed", "phase_changed"]


def test_the_same_for_people(forestall: Shell):
    forestall.company.machine(name="laptop")
    assert OPENSSL in forestall("advisory", "ls").out
    assert "Next: forestall campaign start" in forestall("rate", OPENSSL, "--exposure", "--reason", "r").out
    assert "is rated caution" in forestall("rate", OPENSSL, "--level", "caution", "--reason", "r").out
    forestall("rate", OPENSSL, "--exposure", "--reason", "r")
    assert (
        "is handed over for testing. Next: forestall campaign distribute openssl-1"
        in forestall("campaign", "start", OPENSSL, "--testing").out
    )
    assert forestall("campaign", "distribute", "openssl-1").out == "openssl-1: voluntary\n"
    assert "openssl-1 drives" in forestall("campaign", "start", OPENSSL, code=1).err, "P5.5: one channel"
    assert forestall("campaign", "close", "openssl-1").out == "openssl-1: closed\n"
    assert "runs; voluntary until" in forestall("campaign", "start", OPENSSL, "--voluntary", "20s").out
    assert (
        "openssl-2 is halted. Next: forestall campaign resume openssl-2"
        in forestall("campaign", "halt", "openssl-2", "--reason", "r").out
    )
    assert forestall("campaign", "resume", "openssl-2").out == "openssl-2 goes on.\n"
    assert "openssl-2" in forestall("campaign", "ls").out
    shown = forestall("campaign", "show", "openssl-2").out
    assert "compliance 0.0% to 0.0% of 1 machine(s)" in shown
    assert "DSA-1-1" in forestall("advisory", "show", "DSA-1-1").out
    assert "laptop" in forestall("devices").out
    assert "campaign_started" in forestall("ledger", "show").out


def test_why_prints_the_rules_in_order_with_times(forestall: Shell):
    device = forestall.company.machine(name="laptop")
    forestall.company.campaign()
    forestall.company.turn()
    forestall.company.check_in(device, "openssl-1", "affected")
    (answer,) = forestall("why", "laptop", "--json").json
    assert (answer["device"], answer["campaign"]) == (device, "openssl-1")
    assert [rule["applies"] for rule in answer["rules"]][-1:] == [True]
    said = forestall("why", device).out.splitlines()
    assert said[0].startswith(f"laptop ({device}) in openssl-1: ")
    assert "  seen   agent said affected at 2026-03-02 09:01:00 UTC" in said
    assert sum(line.startswith("  => ") for line in said) == 1
    assert any(line.startswith("  2026-03-02 09:01:00  intended       offer ") for line in said)
    assert "There is no machine “nobody”" in forestall("why", "nobody", code=1).err


def test_why_of_a_machine_in_no_campaign(forestall: Shell):
    forestall.company.machine(name="laptop")
    assert forestall("why", "laptop").out == "laptop is in no campaign: no open campaign concerns it.\n"
    assert forestall("why", "laptop", "--json").json == []


def test_a_token_is_shown_once_with_what_to_do(forestall: Shell):
    made = forestall("enroll", "token", "--site", "osaka", "--uses", "3", "--hours", "2", "--json").json
    assert set(made) == {"token", "site", "uses", "expires_at", "fingerprint"}
    assert (made["site"], made["uses"]) == ("osaka", 3)
    lines = forestall("enroll", "token").out.splitlines()
    assert lines[-2] == f"  forestall-agent enrol --server https://127.0.0.1:8471 --token {lines[0]}"
    known = open_ca(forestall.directory / "device-ca", forestall.company.now)
    assert {token.partition(".")[2] for token in (made["token"], lines[0])} == {known.fingerprint}
    assert "forestall keys ceremony" in lines[-1], "without keys no machine can know whom to obey"


def test_a_machine_is_told_by_what_root_it_knows_its_orders(forestall: Shell):
    """A10."""
    place = trust_place(forestall.directory)
    place.hold_development(Caps(machines=10, forced_an_hour=10), forestall.company.now)
    made = forestall("enroll", "token", "--json").json
    assert made["fingerprint"] == fingerprint(place.repository.newest(Role.ROOT))
    assert forestall("enroll", "token").out.splitlines()[-1] == f"    --fingerprint {made['fingerprint']}"


def test_a_revoked_machine_is_listed_and_can_be_revoked_once(forestall: Shell):
    device = forestall.company.machine(name="stolen")
    other = forestall.company.machine(name="other")
    assert "Say why it is heard no more" in forestall("devices", "revoke", "stolen", code=1).err
    done = forestall("devices", "revoke", "stolen", "--reason", "lost on a train", "--json").json
    assert done["id"] == device
    assert {d["id"]: d["void"] for d in forestall("devices", "--json").json} == {
        device: "revoked",
        other: None,
    }
    assert "revoked" in forestall("devices").out
    again = forestall("devices", "revoke", "stolen", "--reason", "again", code=1).err
    assert "has no certificate that counts" in again
    (entry,) = [
        e for e in forestall("ledger", "show", "--json").json if e["event"]["kind"] == "device_voided"
    ]
    assert entry["event"]["body"] == {"void": "revoked", "reason": "lost on a train"}


def test_hostile_names_do_nothing_to_a_terminal(forestall: Shell):
    device = forestall.company.machine(name=HOSTILE)
    forestall.company.campaign()
    said = forestall("devices").out + forestall("why", device).out
    for bad in ("\x1b", "\r", "\u202e", "\nforged line"):
        assert bad not in said
    assert "\\x1b[2Jhost\\x0d\\x0aforged line\\u202e" in said
    assert harmless("plain 漢字") == "plain 漢字"


def test_pulling_a_broken_source_ends_with_one(forestall: Shell, tmp_path: Path):
    path = tmp_path / "advisories.jsonl"
    path.write_text("{")
    said = forestall("advisory", "pull", path, code=1)
    assert "line 1" in said.out
    (report,) = forestall("advisory", "pull", path, "--json", code=1).json
    assert report["trouble"].endswith("the last good copy stays in force")
    path.write_text(
        '{"id":"DSA-1-1","date":"2026-08-07","title":"t","cves":[],"affected":[{"release":"bookworm","source":"openssl","fixed":"9"}]}\n'
    )
    assert "in force" in forestall("advisory", "pull", path).out


def test_a_doctor_looks_at_everything_and_every_trouble_has_its_mend(forestall: Shell, tmp_path: Path):
    assert forestall("doctor", code=1).out.count("mend: forestall advisory pull") == 1, "no sources yet"
    forestall("advisory", "pull")
    found = forestall("doctor", "--json").json
    assert {each["what"] for each in found} >= {
        "python",
        "settings",
        "disk",
        "ledger",
        "clock",
        "sources",
        "kev (bundle)",
    }
    assert all(each["well"] for each in found)
    with forestall.company.database.begin() as con:
        con.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        con.execute(text("UPDATE ledger SET at = at + interval '1 year'"))
    bad = {each["what"]: each for each in forestall("doctor", "--json", code=1).json if not each["well"]}
    assert set(bad) == {"ledger", "clock"}
    assert all(each["mend"] for each in bad.values())


def test_a_doctor_tells_the_directory_from_the_sources_while_there_is_one(forestall: Shell):
    def rows() -> dict[str, Any]:
        return {each["what"]: each for each in forestall("doctor", "--json", code=1).json}

    with forestall.company.database.begin() as con:
        feeds.failed(con, "directory", forestall.company.now, "it is gone")
    assert "directory" not in rows(), "no directory is named any more"
    path = forestall.directory / "forestall.toml"
    path.write_text(path.read_text() + '[directory]\nurl = "ldaps://dc1.corp.example"\nbase = "dc=corp"\n')
    found = rows()
    assert (found["sources"]["well"], found["sources"]["detail"]) == (False, "0 read"), "no advisory is there"
    assert (found["directory"]["detail"], found["directory"]["mend"]) == (
        "it is gone",
        "forestall directory pull",
    )


def test_a_doctor_without_a_database_says_so(forestall: Shell, tmp_path: Path):
    (forestall.directory / "forestall.toml").write_text(
        f'[database]\nurl = "postgresql://u@/d?host={tmp_path}"\n'
    )
    said = forestall("doctor", code=1).out
    assert "NOT  database: The database at postgresql+psycopg://u@/d" in said
    assert "Traceback" not in said


def test_a_ledger_is_exported_and_verified_offline(forestall: Shell, tmp_path: Path):
    forestall.company.machine()
    path = tmp_path / "ledger.jsonl"
    written = forestall("ledger", "export", path, "--json").json
    assert (written["file"], written["entries"]) == (str(path), 2)
    head = f"{written['head']['sequence']}:{written['head']['hash']}"
    assert head in forestall("ledger", "export", path).out
    assert forestall("ledger", "verify", path, "--head", head, "--json").json["flaw"] is None
    assert "2 entries are what they were" in forestall("ledger", "verify", "--head", head).out
    path.write_text(path.read_text().replace("host", "hast"))
    assert "NOT what it was: entry 2 was changed" in forestall("ledger", "verify", path, code=1).out
    with forestall.company.database.begin() as con:
        con.execute(text("ALTER TABLE ledger DISABLE TRIGGER ledger_is_append_only"))
        con.execute(text("UPDATE ledger SET kind = 'nonsense' WHERE sequence = 2"))
    flaw = forestall("ledger", "verify", "--json", code=1).json["flaw"]
    assert (flaw["sequence"], "nonsense" in flaw["why"]) == (2, True)
    assert "Entry 2 of the ledger was changed" in forestall("ledger", "show", code=1).err
    assert "is not NUMBER:HASH" in forestall("ledger", "verify", "--head", "7", code=1).err


def test_empty_tables_say_what_to_do(forestall: Shell):
    assert "No machine yet. Enrol one: forestall enroll token" in forestall("devices").out
    assert "No campaign yet." in forestall("campaign", "ls").out
    assert "Nothing is open on the machines we know." in forestall("advisory", "ls").out
    assert "Nothing has happened yet." in forestall("ledger", "show").out
    for words in (("devices",), ("campaign", "ls"), ("advisory", "ls"), ("ledger", "show")):
        assert forestall(*words, "--json").json == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        pytest.param(("campaign", "show", "x"), 1, "There is no campaign “x”", id="a campaign nobody knows"),
        pytest.param(("advisory", "show", "x\x1b[2J"), 1, "is called “x\\x1b[2J”", id="hostile words are harmless too"),
        pytest.param(("advisory", "pull", "/" + "x" * 5_000), 1, "File name too long", id="a name no system takes"),
        pytest.param(("campaign", "start", "x", "--voluntary", "soon"), 1, "“soon” is not a duration", id="no duration"),
        pytest.param(("campaign", "halt", "x"), 2, "Missing option '--reason'", id="an option missing"),
        pytest.param(("enroll", "token", "--hours", "25"), 2, "less than or equal to 24", id="a token for too long"),
        pytest.param(("nonsense",), 2, "No such command 'nonsense'", id="no such command"),
    ],
)  # fmt: skip
def test_faults_are_one_sentence_and_an_exit_code(
    forestall: Shell, words: tuple[str, ...], code: int, says: str
):
    said = forestall(*words, code=code) if code == 1 else forestall.run(*words)
    assert said.code == code
    assert says in " ".join(said.err.split())
    assert "Traceback" not in said.err
    assert said.out == ""


def test_all_faults_of_a_policy_file_are_said_one_a_line(forestall: Shell):
    (forestall.directory / "policy.toml").write_text('goal = 2.0\nexemption_at_most = "90d"\n')
    path = forestall.directory / "forestall.toml"
    path.write_text('policy = "policy.toml"\n' + path.read_text())
    assert forestall("devices", code=1).err.count("\n") == 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(InputError("so\x1b[2J"), 1, "forestall: so\\x1b[2J\n", id="a fault with hostile text"),
        pytest.param(PermissionError(13, "Permission denied", "/x"), 1, "forestall: [Errno 13] Permission denied: '/x'\n", id="a file that may not be read"),
        pytest.param(KeyboardInterrupt(), 130, "", id="Ctrl-C"),
    ],
)  # fmt: skip
def test_how_a_command_ends(forestall: Shell, error: BaseException, code: int, said: str):
    def fail() -> None:
        raise error

    forestall.monkeypatch.setattr(main, "app", fail)
    found = forestall.run()
    assert (found.code, found.err) == (code, said)


def test_nobody_is_recorded_as_nobody(forestall: Shell):
    for name in ("FORESTALL_USER", "USER", "LOGNAME"):
        forestall.monkeypatch.delenv(name, raising=False)
    said = forestall("rate", OPENSSL, "--reason", "r", code=1)
    assert said.err == "forestall: Say who does this: --by NAME (it is recorded)\n"


def test_disagreements_from_the_command_line(forestall: Shell):
    """A18: listed, looked at again, believed by two, handed to the help desk."""
    company = forestall.company
    machine = company.machine(name=HOSTILE)
    name = company.campaign()
    now = utc_now()
    for witness, status in ((Witness.AGENT, Status.FIXED), (Witness.PROBE, Status.AFFECTED)):
        said = [Observation(machine, Evidence(witness, status, now, "ssh-banner at 10.0.0.1: old"))]
        with company.database.begin() as con:
            evidence.take(con, name, said, now)
    (row,) = forestall("disagree", "--json").json
    assert (row["device"], [word["status"] for word in row["words"]][-1]) == (machine, "affected")
    assert "\x1b" not in forestall("disagree", "--campaign", name).out
    assert forestall("disagree", "look", machine, name, "--json").json == {"asked": True}
    assert "within the last minute" in forestall("disagree", "look", machine, name).out
    assert (
        "Say whom to believe" in forestall("disagree", "believe", machine, name, "--reason", "r", code=1).err
    )
    words = ("disagree", "believe", machine, name, "--reason", "a proxy")
    asked = forestall(*words, "--side", "agent", "--for", "7d", "--json").json
    forestall("approve", str(asked["number"]), "--by", "ben")
    assert forestall("disagree", "--json").json[0]["belief"]["side"] == "agent"
    assert "Neither side is believed" in forestall(*words, "--end").out
    helped = forestall("disagree", "help-desk", machine, name, "--reason", "who answers?", "--json").json
    assert helped == {"machine": machine, "campaign": name, "help_desk": True}
    assert forestall("disagree", "--campaign", "curl-9", code=1).err.startswith(
        "forestall: There is no campaign"
    )
