"""What an order says to the person at the machine, in English and Japanese: what, why, how long, until when."""

from forestall.domain.campaign import Campaign, Kind
from forestall.domain.level import Level
from forestall.domain.remediation import parts_of

_LEVEL_JA = {Level.CRITICAL: "緊急", Level.WARNING: "警告", Level.CAUTION: "注意"}


def order_text(campaign: Campaign) -> dict[str, str]:
    """Write one sentence a language; the agent adds the deadline in the machine's own time zone."""
    source = parts_of(campaign.remediation)[1]
    if campaign.kind is Kind.UNDO:
        return {
            "en": f"An update of {source} was withdrawn and is taken back. It takes a few minutes; pick the moment.",
            "ja": f"{source} の更新が撤回されたため、元に戻します。数分で終わります。都合のよい時に実行してください。",
        }
    english = (
        f"Security update of {source} ({campaign.level}). Installing takes a few minutes; pick the moment."
    )
    level = _LEVEL_JA[campaign.level]
    japanese = f"{source} のセキュリティ更新（{level}）。数分で終わります。都合のよい時に実行してください。"
    if campaign.imminent_at is not None:
        english = f"Imminent threat: {source} is updated at once."
        japanese = f"差し迫った脅威：{source} をただちに更新します。"
    return {"en": english, "ja": japanese}
