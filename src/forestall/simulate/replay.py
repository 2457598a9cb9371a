"""After a restore: what the ledger outside says happened since the backup is brought back into the tables (R17)."""

from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.campaign import Step, halt, resume, take
from forestall.domain.device import DeviceId
from forestall.domain.events import Entry, EventKind
from forestall.domain.intent import intent_of
from forestall.domain.order import CampaignId
from forestall.domain.record import Outcome, Receipt
from forestall.simulate.hands import CARRIED_OUT
from forestall.simulate.memory import Deed, Memory, Stored, key_of
from forestall.simulate.server import Server


def replay(server: Server) -> None:
    """Bring back every entry that the tables do not know; a person has asked for it."""
    memory = server.memory
    known = memory.tables.head.sequence
    for entry in memory.outside.entries[known:]:
        _bring_back(server, entry)
    memory.tables.head = memory.outside.head
    for campaign in memory.tables.campaigns:
        memory.forget_moment(campaign)
    server.begin_anew()


def _bring_back(server: Server, entry: Entry) -> None:
    event, memory, tables = entry.event, server.memory, server.memory.tables
    campaign = tables.campaigns.get(CampaignId(event.campaign))
    body = event.body or {}
    if event.kind is EventKind.CAMPAIGN_STARTED and campaign is None:
        started = memory.outside.started[CampaignId(event.campaign)]
        tables.campaigns[started.id] = started
        tables.enlist(server.shared.world.company.devices, started.id)
    elif campaign is None:
        return
    elif event.kind is EventKind.PHASE_CHANGED:
        moved = take(campaign, Step(str(body["step"])), entry.at)
        tables.campaigns[campaign.id] = moved or campaign
    elif event.kind is EventKind.HALTED:
        tables.campaigns[campaign.id] = halt(campaign, str(body["why"]), entry.at)
    elif event.kind is EventKind.RESUMED:
        tables.campaigns[campaign.id] = resume(campaign)
        tables.resumed_at[campaign.id] = entry.at
    elif event.kind is EventKind.EXEMPTED:
        key = (campaign.id, DeviceId(event.subject))
        until = datetime.fromisoformat(str(body["until"]))
        tables.records[key] = tables.records[key]._replace(exempt_until=until)
    elif event.kind is EventKind.APPROVED and body.get("matter") == "raise_brake":
        tables.raised[campaign.id] = tables.raised.get(campaign.id, 0) + int(str(body["count"]))
    else:
        _bring_back_intent(server, entry, memory)


def _bring_back_intent(server: Server, entry: Entry, memory: Memory) -> None:
    intent, tables = intent_of(entry.event), memory.tables
    if intent is None:
        return
    key, record_key = key_of(intent), (intent.campaign, intent.device)
    record, stored = tables.records[record_key], tables.intents.get(key)
    if entry.event.kind is EventKind.INTENDED:
        if stored is not None:
            return
        carried_out = intent.action in CARRIED_OUT
        tables.intents[key] = Stored(
            intent, entry.at, None if carried_out else Receipt(Outcome.DONE, entry.at)
        )
        if carried_out:
            tables.open[key] = None
        if intent.action is Action.QUARANTINE:
            tables.removals.append(Deed(entry.at, intent.site))
            tables.closings[key] = Deed(entry.at, intent.site)
        memory.put(record_key, server.core.after_intent(record, intent.action, entry.at), entry.at)
    elif stored is not None and (stored.receipt is None or entry.at > stored.receipt.at):
        outcome = Outcome(str((entry.event.body or {})["outcome"]))
        receipt = Receipt(outcome, entry.at, "replayed")
        tables.intents[key] = stored._replace(receipt=receipt)
        tables.open.pop(key, None)
        memory.put(record_key, server.core.after_receipt(record, intent.action, receipt), entry.at)
