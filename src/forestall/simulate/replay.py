"""After a restore: what the ledger outside says happened since the backup is brought back into the tables (R17)."""

from forestall.domain.action import Action
from forestall.domain.approval import Matter
from forestall.domain.events import Entry, EventKind
from forestall.domain.intent import Intent
from forestall.domain.order import CampaignId
from forestall.domain.record import Outcome, Receipt
from forestall.domain.replay import Retold, replayed, retell
from forestall.simulate.hands import CARRIED_OUT
from forestall.simulate.memory import Deed, Stored, Tables, key_of
from forestall.simulate.server import Server


def replay(server: Server) -> None:
    """Bring back every entry that the tables do not know; a person has asked for it."""
    memory = server.memory
    tables, entries = memory.tables, memory.outside.entries
    known = tables.head.sequence
    story = retell(entries[known:], tables.campaigns.values())
    for campaign in story.campaigns.values():
        if campaign.id not in tables.campaigns:
            tables.enlist(server.shared.world.company.devices, campaign.id)
        tables.campaigns[campaign.id] = campaign
        memory.forget_moment(campaign.id)
    for entry in story.decisions:
        _bring_back_decision(tables, entry)
    _bring_back_intents(tables, story)
    for name, told in story.changes.items():
        for device, changes in told.items():
            key = (name, device)
            changed = replayed(tables.records[key], changes, entries[known - 1].at)
            memory.put(key, changed, server.timeline.now)
    tables.head = memory.outside.head
    server.begin_anew()


def _bring_back_decision(tables: Tables, entry: Entry) -> None:
    body, campaign = entry.event.body or {}, CampaignId(entry.event.campaign)
    if entry.event.kind is EventKind.APPROVED and body["matter"] == Matter.RAISE_BRAKE:
        tables.raised[campaign] = tables.raised.get(campaign, 0) + int(str(body["count"]))


def _bring_back_intents(tables: Tables, story: Retold) -> None:
    for intent, at in story.ordered:
        key = key_of(intent)
        if key in tables.intents:
            continue
        outside = intent.action in CARRIED_OUT
        tables.intents[key] = Stored(intent, at, None if outside else Receipt(Outcome.DONE, at))
        if outside:
            tables.open[key] = None
        if intent.action is Action.QUARANTINE:
            tables.removals.append(Deed(at, intent.site))
            tables.closings[key] = Deed(at, intent.site)
    for intent, receipt in story.answered:
        _answer(tables, intent, receipt)


def _answer(tables: Tables, intent: Intent, receipt: Receipt) -> None:
    key = key_of(intent)
    stored = tables.intents[key]
    if stored.receipt is None or receipt.at > stored.receipt.at:
        tables.intents[key] = stored._replace(receipt=receipt)
        tables.open.pop(key, None)
