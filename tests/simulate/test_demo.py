"""The company one can watch: the real server and store around made-up machines, on a clock turned by hand."""

import mailbox
from collections.abc import Iterator
from contextlib import closing
from email.header import decode_header, make_header
from pathlib import Path

import pytest

from forestall.domain.action import Action
from forestall.domain.campaign import Phase
from forestall.domain.events import EventKind, verify
from forestall.domain.policy import DAY, HOUR
from forestall.server.overview import campaign_row
from forestall.server.wiring import Installation, opened
from forestall.simulate.demo import BEGINS, BLASTER, FIRST_LOOK, clock_of, open_demo
from forestall.store import ledger

MACHINES = 150


def lived(directory: Path, days: float) -> None:
    with opened(directory) as installation:
        company = open_demo(installation, MACHINES)
        for _ in company.advance(BEGINS + days * DAY - company.now):
            pass


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company two days after its deadline: opened twice, as a person does who looks again later."""
    found = tmp_path_factory.mktemp("demo")
    lived(found, 6)
    lived(found, 12)
    return found


@pytest.fixture(scope="module")
def installation(directory: Path) -> Iterator[Installation]:
    with opened(directory) as found:
        yield found


def test_the_clock_stands_where_it_was_turned_to(directory: Path):
    assert clock_of(directory) == BEGINS + 12 * DAY
    assert BEGINS < FIRST_LOOK < BEGINS + 10 * DAY, "a newcomer sees the middle of the voluntary period"


def test_the_campaign_went_through_its_whole_life(installation: Installation):
    """P5.2, P5.4, P6.3, P6.4, P6.5: chosen, forced, removed and let back."""
    row = campaign_row(installation.database, BLASTER, BEGINS + 12 * DAY, installation.policy)
    assert row.phase is Phase.ENFORCING
    assert row.standing.voluntary > row.standing.forced > 0
    assert row.standing.after_removal > 0
    assert row.standing.compliance[0] > 0.9


def test_what_happened_is_in_the_ledger_in_order(installation: Installation):
    with installation.database.begin() as con:
        entries = list(ledger.read_all(con))
    assert verify(entries) is None
    done = [str((e.event.body or {})["action"]) for e in entries if e.event.kind is EventKind.DONE]
    assert {Action.ANNOUNCE, Action.WARN, Action.QUARANTINE, Action.RELEASE} <= set(done)
    removed = next(
        e.event.subject for e in entries if (e.event.body or {}).get("action") == Action.QUARANTINE
    )
    mine = [
        str((e.event.body or {})["action"])
        for e in entries
        if e.event.subject == removed and e.event.kind is EventKind.INTENDED
    ]
    assert mine.index(Action.ANNOUNCE) < mine.index(Action.WARN) < mine.index(Action.QUARANTINE)


def test_people_got_their_mails_in_their_language(directory: Path):
    """P6.1, P6.3"""
    with closing(mailbox.mbox(directory / "mail.mbox")) as box:
        subjects = [str(make_header(decode_header(mail["Subject"]))) for mail in box]
    japanese = [subject for subject in subjects if not subject.isascii()]
    assert 0 < len(japanese) < len(subjects)
    assert any("最終警告" in subject for subject in japanese) or any(
        "last" in subject.lower() for subject in subjects
    )


def test_a_step_of_the_clock_is_never_taken_twice(installation: Installation):
    company = open_demo(installation, MACHINES)
    before = company.now
    assert [now - before for now in company.advance(HOUR)][-1] == HOUR
