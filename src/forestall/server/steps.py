"""What every order of a person goes through: who it is, whether we may, and the ledger entry that goes with it."""

import unicodedata
from dataclasses import replace
from datetime import datetime

from forestall.domain.campaign import Campaign, Phase, Step, take
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind, JsonValue
from forestall.domain.story import told
from forestall.store import campaigns, ledger
from forestall.store.database import Connection

_LONGEST_TEXT = 2_000


def person(by: str) -> str:
    """Name who does it, the same however it was typed.

    Raises:
        InputError: nobody is named.
    """
    name = " ".join(unicodedata.normalize("NFKC", by).split())
    if not name:
        raise InputError("Say who does this: --by NAME (it is recorded)")
    return name


def sentence(text: str, what: str) -> str:
    """Check what a person wrote down for others.

    Raises:
        InputError: it is empty, or a book.
    """
    written = text.strip()
    if not written:
        raise InputError(f"Say {what}: it is recorded and shown")
    if len(written) > _LONGEST_TEXT:
        raise InputError(f"Say {what} in at most {_LONGEST_TEXT} characters")
    return written


def not_restored(con: Connection) -> None:
    """Let nobody order anything on tables that are an older backup (A12).

    Raises:
        InputError: they are, and nobody has replayed the ledger.
    """
    if ledger.unreplayed(con) is not None:
        raise InputError(
            "The database was restored from a backup: until the ledger is replayed the server only observes and "
            "releases. Ask for it: forestall ledger replay --reason ..."
        )


def locked(con: Connection, name: str) -> Campaign:
    """Read a campaign to change it.

    Raises:
        InputError: there is none of that name.
    """
    campaign = campaigns.locked(con, name)
    if campaign is None:
        raise InputError(f"There is no campaign “{name[:80]}”. List them: forestall campaign ls")
    return campaign


def changed(con: Connection, before: Campaign, after: Campaign, event: Event, now: datetime) -> Campaign:
    """Keep a campaign's new state with an entry that tells it (R17)."""
    campaigns.save(con, after)
    body: dict[str, JsonValue] = {**(event.body or {}), **told(after, before)}
    ledger.append(
        con,
        [Event(event.kind, event.actor, after.id, after.id, event.rule, event.paragraph, body)],
        now,
    )
    return after


def moved(con: Connection, campaign: Campaign, step: Step, by: str, now: datetime) -> Campaign:
    """Move a campaign one step on; a service pack's distribution closes what it contains (P7.2).

    Raises:
        InputError: the process has no such step from here.
    """
    after = take(campaign, step, now)
    if after is None:
        raise InputError(
            f"{campaign.id} is {campaign.phase}: there is no step “{step}” from there. {_way(campaign)}"
        )
    body: dict[str, JsonValue] = {"from": campaign.phase, "to": after.phase}
    changed(con, campaign, after, Event(EventKind.PHASE_CHANGED, by, campaign.id, rule=step, body=body), now)
    _contained(con, campaign, step, by, now)
    return after


def _contained(con: Connection, pack: Campaign, step: Step, by: str, now: datetime) -> None:
    """Close what a pack contains when it is distributed; let it go on by itself when the pack never is."""
    ends_untested = pack.phase is Phase.TESTING and step in {Step.CLOSE, Step.WITHDRAW}
    if step is not Step.DISTRIBUTE and not ends_untested:
        return
    for campaign in campaigns.contained(con, pack.id):
        if step is Step.DISTRIBUTE:
            moved(con, campaign, Step.ROLL_UP, by, now)
        else:
            alone = replace(campaign, rolled_up_by=None)
            changed(con, campaign, alone, Event(EventKind.PHASE_CHANGED, by, "", paragraph="P7.2"), now)


def _way(campaign: Campaign) -> str:
    match campaign.phase:
        case Phase.TESTING:
            return f"First: forestall campaign distribute {campaign.id}"
        case Phase.CLOSED | Phase.WITHDRAWN:
            return "It has ended; start another one: forestall campaign start"
        case _:
            return f"See: forestall campaign show {campaign.id}"
