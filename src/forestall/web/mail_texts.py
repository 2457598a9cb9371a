"""What the pages behind mails say, in English and Japanese; one key, two sentences."""

from collections.abc import Mapping

from forestall.web.texts import LANGUAGES, texts

TEXTS: Mapping[str, tuple[str, str]] = {
    "mail_title": ("Security update: what, why, until when", "セキュリティ更新：内容・理由・期限"),
    "gone_title": ("This link has ended", "このリンクは無効です"),
    "gone": (
        "It is not one of ours, or it is older than 90 days. The newest mail of the patch desk has a new one.",
        "発行したリンクではないか、90日を過ぎています。パッチ担当からの最新のメールのリンクをご利用ください。",
    ),
    "closes": ("It closes", "修正される欠陥："),
    "a_flaw": ("It closes a security flaw.", "セキュリティの欠陥を修正します。"),
    "until": ("Please install it before", "適用期限："),
    "was_due": ("It was due before", "適用期限（超過）："),
    "imminent": (
        "The threat is imminent: the flaw is being exploited, or is about to be. Upgrade now.",
        "脅威が差し迫っています。今すぐ更新してください。",
    ),
    "ended": (
        "This campaign is over: nothing more is asked.",
        "このキャンペーンは終了しました。対応は不要です。",
    ),
    "then": (
        (
            "After that it is installed by force, and a machine that nobody manages is taken off the network while it "
            "is vulnerable: it is warned by mail, checked again, and removed {minutes} minutes after the warning."
        ),
        (
            "期限後は強制的に適用されます。管理対象外の端末は、メールで警告し再検査したうえで、脆弱なままなら警告の{minutes}分後に"
            "ネットワークから切り離されます。"
        ),
    ),
    "back": (
        "A removed machine is let back as soon as a check shows it fixed.",
        "切り離された端末は、修正が確認され次第、復帰します。",
    ),
    "how": ("How to install it", "適用の方法"),
    "how_managed": (
        "A machine with our agent offers it to you: choose your moment there.",
        "エージェントの入った端末では、画面の案内から都合のよい時に適用できます。",
    ),
    "how_unmanaged": (
        "On any other machine install the update with its own update program, then restart what uses it.",
        "その他の端末では、その端末の更新機能で更新を適用し、関係するプログラムを再起動してください。",
    ),
    "your_machines": ("Your machines", "あなたの端末"),
    "check": ("Check me now", "今すぐ検査"),
    "checking": (
        "A check is under way; open this page again in a minute.",
        "検査中です。1分後にこのページを開き直してください。",
    ),
    "by_agent": ("Its agent looks by itself.", "エージェントが自動で確認します。"),
    "open_there": (
        "To have it checked now, open this page on that machine itself.",
        "今すぐ検査するには、その端末でこのページを開いてください。",
    ),
    "removed": (
        "It is off the network until a check shows it fixed.",
        "修正が確認されるまで、ネットワークから切り離されています。",
    ),
    "warned": ("Its final warning was sent.", "最終警告を送信済みです。"),
    "unreadable": (
        (
            "No check from outside can read it. Let our checks through its firewall, then ask for one here; or put it "
            "under management: with our agent it tells by itself. As long as nothing is known it is not taken off the "
            "network for that."
        ),
        (
            "外部から状態を確認できません。ファイアウォールで検査を許可してここで検査を実行するか、管理対象に加えてください"
            "（エージェントが自動で報告します）。状態が不明というだけで切り離されることはありません。"
        ),
    ),
    "wish taken": (
        "A check is asked for. Its result is here in a minute.",
        "検査を依頼しました。1分後に結果が表示されます。",
    ),
    "wish just_made": (
        "A check was just made; once a minute is enough.",
        "検査したばかりです。1分に1回までです。",
    ),
    "wish elsewhere": (
        "Nothing was asked for: this request does not come from that machine. Open this page on the machine itself.",
        "依頼されませんでした。この要求はその端末からのものではありません。その端末でこのページを開いてください。",
    ),
    "wish unknown": ("This message is about no such machine.", "このメールの対象に、その端末はありません。"),
    "wish disowned": (
        "Noted: it is not yours, and no more mails about it go to you.",
        "記録しました。この端末に関するメールは今後お送りしません。",
    ),
    "wish unsure": (
        "Nothing has changed: tick the box to say that it is not yours.",
        "変更はありません。自分の端末ではない場合は、チェックを入れてください。",
    ),
    "not_mine": ("This machine is not mine", "この端末は自分のものではない"),
    "not_mine_sure": (
        "I have looked: I neither use nor look after it.",
        "確認しました。使用も管理もしていません。",
    ),
    "not_mine_send": ("Tell the patch desk", "パッチ担当に伝える"),
    "nothing_changes": ("Opening this page changes nothing.", "このページを開いても何も変更されません。"),
}


def mail_texts(language: str) -> dict[str, str]:
    """Give all texts in one language, those that the other pages share with them."""
    column = LANGUAGES.index(language)
    return texts(language) | {key: pair[column] for key, pair in TEXTS.items()}
