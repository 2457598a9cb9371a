"""What the page of disagreements says, in English and Japanese; one key, two sentences."""

from collections.abc import Mapping

from forestall.web.texts import LANGUAGES, texts

TEXTS: Mapping[str, tuple[str, str]] = {
    "elsewhere": (
        "This list is shown on the server itself only. There: forestall disagree",
        "この一覧はサーバー上でのみ表示されます。サーバーで：forestall disagree",
    ),
    "queue_title": ("Agent and probe disagree", "エージェントと検査の不一致"),
    "queue_why": (
        (
            "One of them is wrong, so these machines count as unknown: never as fixed, and none is taken off the "
            "network for it (A2, A18)."
        ),
        "どちらかが誤っているため「不明」として扱い、修正済みには数えず、これだけで切り離すこともありません（A2、A18）。",
    ),
    "queue_empty": ("Agents and probes agree on every machine.", "すべての端末で一致しています。"),
    "queue_open": ("undecided", "未判断"),
    "queue_decided": ("one side is believed", "一方を採用中"),
    "queue_told": ("for too long: a person was told", "長期化：担当者に通知済み"),
    "since": ("since (UTC)", "発生（UTC）"),
    "who_says": ("who", "情報元"),
    "says": ("says", "判定"),
    "last_said": ("last (UTC)", "最終（UTC）"),
    "first_said": ("the same since (UTC)", "同じ判定の開始（UTC）"),
    "proof": ("proof", "根拠"),
    "worth": ("worth", "確度"),
    "owner": ("owner", "使用者"),
    "nobody": ("nobody known", "不明"),
    "looking": ("A check is asked for.", "検査を依頼済みです。"),
    "helped": ("The help desk has a case.", "ヘルプデスクに登録済みです。"),
    "told_now": ("It has lasted too long: a person was told.", "長期化のため、担当者に通知しました。"),
    "believed": (
        "The {side} is believed until {until} UTC: {reason} (asked by {by}, approved by {approved})",
        "{until} UTC まで{side}を採用：{reason}（申請 {by}、承認 {approved}）",
    ),
    "side agent": ("agent", "エージェント"),
    "side probe": ("probe", "検査"),
    "witness agent": ("agent", "エージェント"),
    "witness inventory": ("inventory", "インベントリ"),
    "witness vpn": ("logon or VPN", "ログオン・VPN"),
    "witness logon": ("logon or VPN", "ログオン・VPN"),
    "witness probe": ("probe", "検査"),
    "worth its own word": ("its own word", "端末の自己申告"),
    "worth package versions": ("package versions", "パッケージのバージョン"),
    "worth behaviour": ("behaviour: the flaw itself shows, or does not", "挙動：欠陥そのものを確認"),
    "worth version": ("version: exact to the revision", "バージョン：改訂まで正確"),
    "worth posture": ("posture: how exposed it is", "露出状況"),
    "not_affected": ("not affected", "影響なし"),
    "what_to_do": ("What you can do", "できること"),
    "do_look": ("look again now", "今すぐ再検査"),
    "do_believe": ("believe one side for a while (two people)", "期限付きで一方を採用（二人で承認）"),
    "do_help": ("open a help-desk case", "ヘルプデスクに登録"),
    "all_campaigns": ("all", "すべて"),
    "before": ("previous", "前へ"),
    "next": ("next", "次へ"),
    "where": ("page {n} of {m}", "{n} / {m} ページ"),
    "back": ("where we stand", "現在の状況"),
}


def disagree_texts(language: str) -> dict[str, str]:
    """Give all texts in one language, those that the other pages share with them."""
    column = LANGUAGES.index(language)
    return texts(language) | {key: pair[column] for key, pair in TEXTS.items()}
