"""What the fix-it room says, in English and Japanese; one key, two sentences."""

from collections.abc import Mapping

from forestall.web.texts import LANGUAGES

ROOM: Mapping[str, tuple[str, str]] = {
    "title": ("This machine is off the network", "この端末はネットワークから切り離されています"),
    "why": ("Why", "理由"),
    "whose": ("Nobody knows whose it is: say so here", "使用者が未登録です。こちらで登録してください"),
    "missing": ("A security update is missing:", "次のセキュリティ更新が適用されていません："),
    "or_newer": ("or newer", "以降"),
    "closes": ("It closes", "修正される脆弱性"),
    "advisory": ("Advisory", "アドバイザリ"),
    "rule": ("Rule", "ルール"),
    "deadline": ("Deadline", "期限"),
    "warned": ("Final warning", "最終警告"),
    "removed": ("Off the network since", "切り離し日時"),
    "looked": ("Last check", "最終検査"),
    "status": ("Last result", "検査結果"),
    "status affected": ("still vulnerable", "まだ脆弱です"),
    "status pending_restart": (
        "installed, but an old process still runs: restart it",
        "適用済みですが古いプロセスが動作中です。再起動してください",
    ),
    "status unknown": ("nothing fresh is known", "最新の情報がありません"),
    "status fixed": ("fixed: you are let back within a minute", "修正済みです。1分以内に復帰します"),
    "status not_affected": ("fixed: you are let back within a minute", "修正済みです。1分以内に復帰します"),
    "how": ("What to do", "対処方法"),
    "step_patch": (
        "Install the update. It can be reached from here:",
        "更新を適用してください。ここから入手できます：",
    ),
    "step_debian": ("On Debian, as root:", "Debian では管理者として："),
    "step_restart": (
        "Restart the programs that use it, or the machine: installed is not yet effective.",
        "その更新を使うプログラム、または端末を再起動してください。適用しただけでは有効になりません。",
    ),
    "step_check": (
        "Then press the button. When the check finds it fixed, the network is back within a minute.",
        "その後、ボタンを押してください。修正が確認されると1分以内にネットワークへ復帰します。",
    ),
    "check": ("Check me now", "今すぐ検査する"),
    "checking": (
        "A check has been asked for; this page looks again by itself.",
        "検査を依頼しました。このページは自動的に更新されます。",
    ),
    "free": (
        "This machine is not off the network, as far as we know.",
        "この端末は切り離されていません（把握している限り）。",
    ),
    "nobody": ("This address belongs to no machine we know.", "このアドレスの端末は登録されていません。"),
    "help": (
        "Nothing helps? Call the help desk and read out this line:",
        "解決しない場合は、ヘルプデスクに次の行をお伝えください：",
    ),
}


def room_texts(language: str) -> dict[str, str]:
    """Give all texts in one language."""
    column = LANGUAGES.index(language)
    return {key: pair[column] for key, pair in ROOM.items()}
