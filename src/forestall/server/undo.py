"""Takes a withdrawn update back where it was installed: a campaign of its own, with an order like any other (A7)."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from forestall.domain.authority import Approval
from forestall.domain.campaign import Campaign, Kind, Phase, Step
from forestall.domain.device import DeviceId
from forestall.domain.errors import InputError
from forestall.domain.events import Event, EventKind
from forestall.domain.evidence import Status
from forestall.domain.order import CampaignId, Verb
from forestall.domain.policy import DAY
from forestall.domain.recipe import UpdateAgent
from forestall.domain.remediation import RemediationId, by_recipe, undercuts
from forestall.domain.story import told
from forestall.server.operators import new_id, not_driven_yet
from forestall.server.steps import locked, moved, not_restored, person
from forestall.server.trust_place import trust_place
from forestall.server.wiring import Installation
from forestall.store import campaigns, devices, inventories, ledger, records
from forestall.store.database import Connection
from forestall.trust.papers import papers_in


def undo_campaign(
    installation: Installation, name: str, period: timedelta | None, by: str, now: datetime
) -> Campaign:
    """Take back what a withdrawn campaign brought: offered, then forced, on machines that have this very version.

    Raises:
        InputError: it is not withdrawn, nobody approved its way back, it is being driven already, or another campaign
            requires more than what would be left.
    """
    by = person(by)
    period = installation.policy.voluntary_period if period is None else period
    if not timedelta() <= period <= 14 * DAY:
        raise InputError("The voluntary period of a way back lies within 0 and 14 days (P3.1)")
    with installation.database.begin() as con:
        not_restored(con)
        withdrawn = locked(con, name)
        if withdrawn.phase is not Phase.WITHDRAWN or withdrawn.kind is Kind.UNDO:
            raise InputError(
                f"{name} is {withdrawn.phase}: only a withdrawn update is taken back. First: "
                f"forestall campaign withdraw {name}"
            )
        not_driven_yet(con, withdrawn.remediation, Kind.UNDO)
        approval = _approval(installation, withdrawn.remediation, now)
        _nothing_undercut(withdrawn.remediation, approval.back_to, campaigns.everything(con))
        campaign = _made(withdrawn, new_id(con, withdrawn.remediation), period, now)
        campaigns.save(con, campaign)
        body = {**told(campaign), "withdrawn": withdrawn.id, "back_to": approval.back_to}
        started = Event(
            EventKind.CAMPAIGN_STARTED, by, campaign.remediation, campaign.id, paragraph="A7", body=body
        )
        ledger.append(con, [started], now)
        records.enlist(con, campaign.id, _holders(con, campaign.remediation), now)
        return moved(con, campaign, Step.DISTRIBUTE, by, now)


def _approval(installation: Installation, update: RemediationId, now: datetime) -> Approval:
    """Find what people signed about the way back."""
    repository = trust_place(installation.settings.directory).repository
    approval = papers_in(repository, now).approvals.get(update) if repository.exists else None
    if approval is None or approval.verb is not Verb.UNDO:
        agent = approval is not None and isinstance(approval.recipe, UpdateAgent)
        what = update if by_recipe(update) and not agent else f"{update}=VERSION"
        raise InputError(
            f"Nobody approved that {update} is taken back, so no machine would obey. First: "
            f"forestall keys approve --undo {what}"
        )
    return approval


def _made(withdrawn: Campaign, name: CampaignId, period: timedelta, now: datetime) -> Campaign:
    return Campaign(
        id=name,
        revision=1,
        remediation=withdrawn.remediation,
        kind=Kind.UNDO,
        level=withdrawn.level,
        phase=Phase.TESTING,
        voluntary_period=period,
        goal=withdrawn.goal,
        published_at=withdrawn.published_at,
        rated_at=withdrawn.rated_at,
        handed_over_at=now,
    )


def _nothing_undercut(update: RemediationId, back_to: str, known: Iterable[Campaign]) -> None:
    for other in known:
        required = other.phase is not Phase.WITHDRAWN and other.kind is not Kind.UNDO
        if required and undercuts(update, back_to, other.remediation):
            raise InputError(
                f"{back_to} is below {other.remediation}, which {other.id} requires (A7): approve a way back to a "
                "later version"
            )


def _holders(con: Connection, update: RemediationId) -> dict[DeviceId, Status]:
    """List the managed machines that have this very version; of a recipe only agents can tell."""
    managed = {device.id for device in devices.everything(con) if device.managed}
    if by_recipe(update):
        return dict.fromkeys(managed, Status.UNKNOWN)
    standing = inventories.standing_of(con, update, undo=True)
    return {
        device: status
        for device, status in standing.items()
        if device in managed and status in {Status.AFFECTED, Status.UNKNOWN}
    }
