"""Mail that came back: the acceptance is taken back, and a person decides where it was a final warning (A14)."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from forestall.domain.notice import Told
from forestall.domain.record import Outcome, Receipt
from forestall.notify.bounces import Bounce, messages_in, put_away, read_bounce
from forestall.store import intents, notices
from forestall.store.database import Database


class Returned(StrEnum):
    """What a message that came in was."""

    TAKEN_BACK = "taken_back"
    KNOWN = "known"
    """It came back before."""
    EARLY = "early"
    """Its acceptance is not on record yet."""
    NO_BOUNCE = "no_bounce"
    """Other mail: an out-of-office note, a delay."""
    NOT_OURS = "not_ours"
    """No message of that name went to that address."""


def take_back(database: Database, content: bytes, domain: str, actor: str, now: datetime) -> Returned:
    """Take in one message."""
    bounce = read_bounce(content, domain)
    return Returned.NO_BOUNCE if bounce is None else _take_back(database, bounce, actor, now)


def read_mailbox(
    database: Database, path: Path, domain: str, actor: str, now: datetime
) -> dict[Returned, int]:
    """Take in the new messages of a Maildir; those not of ours stay new: a restored backup may not know them yet.

    Raises:
        InputError: it is no Maildir.
    """
    counts = dict.fromkeys(Returned, 0)
    for file, content in messages_in(path):
        became = take_back(database, content, domain, actor, now)
        counts[became] += 1
        if became not in {Returned.NOT_OURS, Returned.EARLY}:
            put_away(file)
    return counts


def _take_back(database: Database, bounce: Bounce, actor: str, now: datetime) -> Returned:
    with database.begin() as con:
        found = [
            each
            for each in notices.of_message(con, bounce.message)
            if each.notice.person.address == bounce.recipient
        ]
        if not found:
            return Returned.NOT_OURS
        accepted = [each for each in found if each.outcome is Outcome.DONE]
        if not accepted:
            return Returned.EARLY if any(each.outcome is None for each in found) else Returned.KNOWN
        detail = f"the mail came back: {bounce.status}"
        told = [
            Told(each.notice.id, Outcome.REFUSED, now, detail, now, None, each.attempts) for each in accepted
        ]
        carried = notices.carried(con, [each.notice.id for each in accepted])
        receipt = Receipt(Outcome.REFUSED, now, detail)
        back = [
            (each.intent, receipt)
            for some in carried.values()
            for each in some
            if each.outcome is Outcome.DONE
        ]
        notices.answered(con, told)
        intents.conclude(con, back, actor, now)
    return Returned.TAKEN_BACK
