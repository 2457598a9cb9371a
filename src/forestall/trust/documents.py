"""The signed papers on the wire: parsed once with every limit in the type, then values of `domain.authority`."""

import re
from datetime import timedelta
from typing import Annotated, TypeVar

import msgspec

from forestall.domain.authority import Approval, Imminence, Objection, SignedOrder
from forestall.domain.brakes import Wave
from forestall.domain.order import CampaignId, Restart, Verb
from forestall.domain.product import ProductName, is_update
from forestall.domain.recipe import Recipe, RunPayload, UpdateAgent
from forestall.domain.remediation import RemediationId, id_of, undercuts
from forestall.protocol import Count, Instant, Text, Word, in_this_age
from forestall.trust.recipe import RecipeMessage, recipe_of

MOST_BYTES = 64 * 1024
"""No paper is longer."""

_CAMPAIGN = re.compile(r"[a-z0-9][a-z0-9+._-]{0,127}")

Paper = TypeVar("Paper", bound=msgspec.Struct)


class WaveMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A share of the fleet, 0 to 1, and the seconds after the deadline from which it is forced."""

    share: Annotated[float, msgspec.Meta(gt=0, le=1)]
    after_seconds: Annotated[int, msgspec.Meta(ge=0, le=366 * 86_400)]


Waves = Annotated[tuple[WaveMessage, ...], msgspec.Meta(min_length=1, max_length=32)]


class RemediationDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An approval: this update was tested and may be installed, by force from `force_from` at this pace.

    Or, by its verb: this update was withdrawn and may be taken back, and so not be installed (A7).
    """

    product: Word
    release: Word
    source: Word
    version: Word
    approved_at: Instant
    force_from: Instant
    pace: Waves
    advisories: Annotated[tuple[Word, ...], msgspec.Meta(max_length=1_000)] = ()
    """What it closes, for people."""
    recipe: RecipeMessage | None = None
    """What is done where there is no package, and only there (P1.4)."""
    verb: Verb = Verb.UPGRADE
    back_to: Word | None = None
    """The version to which packages, or the agent, are taken back, and only they."""

    def __post_init__(self) -> None:
        in_this_age(self.approved_at, self.force_from)


class ImminentDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An imminent threat: the deadline of an update moves forward."""

    product: Word
    release: Word
    source: Word
    version: Word
    declared_at: Instant
    deadline_at: Instant
    pace: Waves
    reason: Text

    def __post_init__(self) -> None:
        in_this_age(self.declared_at, self.deadline_at)


class OrderDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A campaign's order, signed as a whole."""

    campaign: Word
    revision: Count
    verb: Word
    product: Word
    release: Word
    source: Word
    version: Word
    offered_at: Instant
    deadline_at: Instant
    expires_at: Instant
    rings: Waves
    restart: Restart
    level: Word
    texts: Annotated[dict[str, Text], msgspec.Meta(max_length=8)]

    def __post_init__(self) -> None:
        in_this_age(self.offered_at, self.deadline_at, self.expires_at)


def read(content: bytes, shape: type[Paper]) -> Paper | str:
    """Parse a paper; of one that is none, say why."""
    if len(content) > MOST_BYTES:
        return f"longer than {MOST_BYTES} bytes"
    try:
        return msgspec.json.decode(content, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return str(error)[:300]


def write(paper: msgspec.Struct) -> bytes:
    """Write a paper; the same paper gives the same bytes."""
    return msgspec.json.encode(paper, order="deterministic")


def odd_names(paper: RemediationDocument | ImminentDocument | OrderDocument) -> bool:
    """Say whether a paper names something that cannot be: names become paths and arguments."""
    if isinstance(paper, OrderDocument) and not is_campaign(paper.campaign):
        return True
    return not is_update(paper.product, paper.release, paper.source, paper.version)


def is_campaign(name: str) -> bool:
    """Say whether a campaign can be called so; campaigns are files, too."""
    return _CAMPAIGN.fullmatch(name) is not None


def remediation_of(paper: RemediationDocument | ImminentDocument | OrderDocument) -> RemediationId:
    """Name the update that a paper is about."""
    return id_of(paper.release, paper.source, paper.version)


def approval_of(paper: RemediationDocument) -> Approval | str:
    """Read an approval as a value; of one whose recipe cannot be carried out, say why."""
    recipe = None if paper.recipe is None else recipe_of(paper.recipe)
    if isinstance(recipe, str):
        return f"{Objection.ODD_RECIPE}: {recipe}"
    if (recipe is None) is (paper.product == ProductName.RECIPE):
        return f"{Objection.ODD_RECIPE}: recipes belong to the product {ProductName.RECIPE}, and only there"
    odd = _odd_verb(paper, recipe)
    if odd:
        return f"{Objection.ODD_WAY_BACK}: {odd}"
    return Approval(
        product=paper.product,
        remediation=remediation_of(paper),
        approved_at=paper.approved_at,
        force_from=paper.force_from,
        pace=waves_of(paper.pace),
        recipe=recipe,
        verb=paper.verb,
        back_to=paper.back_to or "",
    )


def _odd_verb(paper: RemediationDocument, recipe: Recipe | None) -> str:
    """Say why an approval's verb cannot be carried out; empty where it can."""
    if paper.verb is Verb.UPGRADE:
        return "" if paper.back_to is None else "only what is taken back goes back to a version"
    if paper.verb is not Verb.UNDO:
        return f"{paper.verb} needs no approval"
    if recipe is not None and not isinstance(recipe, UpdateAgent):
        reversible = paper.back_to is None and (not isinstance(recipe, RunPayload) or recipe.undo is not None)
        return "" if reversible else "its recipe does not say how it is taken back"
    if paper.product == ProductName.WINDOWS or paper.back_to is None:
        return f"updates of {paper.product} are not taken back, or not without the version to go back to"
    back_to = paper.back_to
    down = is_update(paper.product, paper.release, paper.source, back_to) and undercuts(
        remediation_of(paper), back_to, remediation_of(paper)
    )
    return "" if down else f"{back_to} is not below {paper.version}"


def imminence_of(paper: ImminentDocument) -> Imminence:
    """Read a declaration as a value."""
    return Imminence(paper.product, remediation_of(paper), paper.deadline_at, waves_of(paper.pace))


def signed_order_of(paper: OrderDocument) -> SignedOrder:
    """Read an order as a value."""
    return SignedOrder(
        campaign=CampaignId(paper.campaign),
        revision=paper.revision,
        verb=paper.verb,
        product=paper.product,
        release=paper.release,
        source=paper.source,
        version=paper.version,
        offered_at=paper.offered_at,
        deadline_at=paper.deadline_at,
        expires_at=paper.expires_at,
        rings=waves_of(paper.rings),
        restart=paper.restart,
        level=paper.level,
        texts=paper.texts,
    )


def waves_of(waves: Waves) -> tuple[Wave, ...]:
    """Read waves as values."""
    return tuple(Wave(each.share, timedelta(seconds=each.after_seconds)) for each in waves)


def wave_messages(pace: tuple[Wave, ...]) -> tuple[WaveMessage, ...]:
    """Put waves on the wire."""
    return tuple(WaveMessage(wave.share, int(wave.after.total_seconds())) for wave in pace)
