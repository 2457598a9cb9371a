"""What the mails say, in English and Japanese; one key, two texts.

Curly names are filled in; of an `one` and a `many` the second speaks of several updates.
"""

from collections.abc import Mapping
from enum import StrEnum


class Letter(StrEnum):
    """Which mail."""

    ANNOUNCEMENT = "announcement"
    FINAL_WARNING = "final_warning"
    SELF_CHECK = "self_check"


SUBJECTS: Mapping[Letter, tuple[str, str]] = {
    Letter.ANNOUNCEMENT: (
        "Security update {update}: please install before {deadline}",
        "セキュリティ更新 {update}：{deadline} までに適用してください",
    ),
    Letter.FINAL_WARNING: (
        "Final warning: {machines} will be taken off the network in {minutes} minutes",
        "最終警告：{machines} は{minutes}分後にネットワークから切り離されます",
    ),
    Letter.SELF_CHECK: ("Please check {machines} for {update}", "{machines} の {update} を確認してください"),
}

BODIES: Mapping[Letter, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Letter.ANNOUNCEMENT: (
        (
            "The update {update} closes a security flaw{flaws}.",
            (
                "Please install it at a moment that suits you, before {deadline}. After that it is installed by force, "
                "and machines that nobody manages are taken off the network while they are vulnerable."
            ),
        ),
        (
            "更新 {update} によりセキュリティの欠陥{flaws}が修正されます。",
            (
                "{deadline} までに、都合のよい時に適用してください。期限を過ぎると強制的に適用されます。"
                "管理対象外の端末は、脆弱な間ネットワークから切り離されます。"
            ),
        ),
    ),
    Letter.FINAL_WARNING: (
        (
            "The deadline for {update} was {deadline}, and still vulnerable{flaws} is: {machines}",
            (
                "It is checked again shortly. If it is still vulnerable it is taken off the network {minutes} minutes "
                "after this mail. It is let back as soon as a check shows it fixed."
            ),
        ),
        (
            "{update} の期限は {deadline} でした。次の端末はまだ脆弱です{flaws}：{machines}",
            (
                "まもなく再検査します。まだ脆弱な場合、このメールから{minutes}分後にネットワークから切り離します。"
                "修正が確認され次第、復帰します。"
            ),
        ),
    ),
    Letter.SELF_CHECK: (
        (
            "We cannot see from outside whether this machine has the security update {update}{flaws}: {machines}",
            (
                "Please open the page below on that machine: it says how to let us check, and what to do. "
                "A machine of which nothing is known is not taken off the network for that."
            ),
        ),
        (
            "次の端末にセキュリティ更新 {update}{flaws} が適用済みか、外部から確認できません：{machines}",
            (
                "その端末で下のページを開いてください。確認の方法と必要な作業が分かります。"
                "状態が不明というだけで切り離されることはありません。"
            ),
        ),
    ),
}

WORDS: Mapping[str, tuple[str, str]] = {
    "imminent": (
        "The threat is imminent: the flaw is being exploited, or is about to be. Upgrade now.",
        "脅威が差し迫っています。この欠陥は悪用されているか、まもなく悪用されます。今すぐ更新してください。",
    ),
    "machines": ("Your machines: {machines}", "対象の端末：{machines}"),
    "and_more": ("{machines} and {n} more", "{machines} ほか{n}台"),
    "link": ("The update, and how your machines stand:", "更新の入手先と端末の状態："),
    "several": ("{n} security updates: {updates}", "セキュリティ更新 {n} 件：{updates}"),
    "several_warned": (
        "Final warning: {machines} will be taken off the network in {minutes} minutes ({n} updates)",
        "最終警告：{machines} は{minutes}分後にネットワークから切り離されます（更新 {n} 件）",
    ),
    "event": ("Deadline: security update {update}", "期限：セキュリティ更新 {update}"),
    "footer": (
        "This mail was sent automatically by the patch desk. Opening its link changes nothing.",
        "このメールはパッチ担当から自動送信されました。リンクを開いても何も変更されません。",
    ),
    "claim": ("Is {machine} yours?", "{machine} はあなたの端末ですか"),
    "claim_body": (
        (
            "Somebody at the machine {machine} gave your address. If it is yours, confirm it on the page below, within "
            "7 days; then mails about its security updates go to you. If it is not yours, do nothing."
        ),
        (
            "端末 {machine} であなたのアドレスが入力されました。あなたの端末であれば、"
            "7日以内に下のページで確認してください。以後、その端末の更新についてご連絡します。心当たりがなければ、何もしないでください。"
        ),
    ),
    "claim_link": ("Confirm that it is yours:", "確認のページ："),
    "test": ("Test of the patch desk's mail", "パッチ担当のメールのテスト"),
    "test_body": (
        "This is a test. If you can read it, mails of the patch desk reach you.",
        "これはテストです。読めていれば、パッチ担当のメールが届いています。",
    ),
    "no_deadline": ("its deadline", "期限"),
}


def column(language: str) -> int:
    """Say which of the two texts a language has; English where it has none."""
    return int(language == "ja")
