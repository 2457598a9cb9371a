"""What the pages say, in English and Japanese; one key, two sentences."""

from collections.abc import Mapping

LANGUAGES = ("en", "ja")

TEXTS: Mapping[str, tuple[str, str]] = {
    "title": ("Forestall: where we stand", "Forestall：現在の状況"),
    "as_of": ("as of", "現在時刻"),
    "development": (
        "Development keys: they lie on this server and protect nothing. In earnest: forestall keys ceremony",
        "開発用の鍵です。このサーバー上にあり、保護にはなりません。本番前に実行してください：forestall keys ceremony",
    ),
    "open_updates": ("updates open", "未適用の更新"),
    "machines": ("machines", "端末（台）"),
    "managed": ("managed", "管理対象"),
    "unmanaged": ("unmanaged", "管理対象外"),
    "campaigns_open": ("campaigns running", "進行中のキャンペーン"),
    "disagreements": ("agent and probe disagree", "エージェントと検査の不一致"),
    "campaigns": ("Campaigns", "キャンペーン"),
    "machines_list": ("Machines", "端末"),
    "pages": ("Pages", "ページ"),
    "no_campaigns": (
        "No campaign yet. Rate an update, then start one: forestall rate, forestall campaign start.",
        "キャンペーンはまだありません。更新を評価してから開始してください：forestall rate、forestall campaign start。",
    ),
    "worst_first": ("Open updates, worst first", "未適用の更新（深刻な順）"),
    "no_updates": (
        "Nothing is open on the machines we know.",
        "把握している端末に未適用の更新はありません。",
    ),
    "no_machines": (
        "No machine yet. Enrol one: forestall enroll token",
        "端末はまだありません。登録するには：forestall enroll token",
    ),
    "no_sources": (
        "Nothing was read yet: forestall advisory pull",
        "まだ何も取得していません：forestall advisory pull",
    ),
    "open_update": ("update", "更新"),
    "proposal": ("proposal", "提案"),
    "rated": ("rated", "評価"),
    "why": ("why", "理由"),
    "affected": ("affected", "影響あり"),
    "fixed": ("fixed", "修正済み"),
    "pending_restart": ("waiting for a restart", "再起動待ち"),
    "unknown": ("unknown", "不明"),
    "exempt": ("exempt", "適用除外"),
    "quarantined": ("off the network", "切り離し中"),
    "voluntary": ("by themselves", "自主適用"),
    "forced": ("by force", "強制適用"),
    "after_removal": ("after removal", "切り離し後"),
    "late": ("late, by themselves", "期限後の自主適用"),
    "held": ("held by a brake", "ブレーキで保留"),
    "campaign": ("campaign", "キャンペーン"),
    "phase": ("phase", "段階"),
    "halted": ("halted", "停止中"),
    "deadline": ("deadline", "期限"),
    "compliance": ("surely fixed – possibly fixed", "確実に修正済み〜修正済みの可能性"),
    "sources": ("Sources", "情報源"),
    "source": ("source", "情報源"),
    "last_good": ("last good copy (UTC)", "最後の正常な取得（UTC）"),
    "records": ("records", "件数"),
    "trouble": ("trouble", "問題"),
    "machine": ("machine", "端末"),
    "site": ("site", "拠点"),
    "last_seen": ("last seen (UTC)", "最終確認（UTC）"),
    "page /": ("This company", "この会社"),
    "page /company": ("A made-up company living through a campaign", "架空の会社で見るキャンペーンの経過"),
    "company_hint": (
        "Everything here is simulated, on a clock you can turn: forestall demo +1d",
        "すべて模擬です。時計は進められます：forestall demo +1d",
    ),
    "on_its_way": (
        "It has just begun and lives up to {to} UTC within a minute; this page follows by itself.",
        "始まったばかりです。1分ほどで {to} UTC まで進みます。このページは自動で更新されます。",
    ),
    "curve": ("machines still vulnerable, by day since distribution", "まだ脆弱な端末（配布からの日数）"),
    "day": ("d", "日"),
    "phase testing": ("being tested", "検証中"),
    "phase voluntary": ("voluntary", "自主適用期間"),
    "phase enforcing": ("by force", "強制適用中"),
    "phase closed": ("closed", "終了"),
    "phase withdrawn": ("withdrawn", "取り下げ"),
    "level critical": ("critical", "緊急"),
    "level warning": ("warning", "警告"),
    "level caution": ("caution", "注意"),
    "hours so far": ("{n} h since the hand-over, {most} at most", "引き渡しから{n}時間経過、上限{most}時間"),
    "hours done": (
        "{n} h from the hand-over to the distribution, {most} at most",
        "引き渡しから配布まで{n}時間、上限{most}時間",
    ),
    "haste best": ("better than the goal", "目標より早い"),
    "haste good": ("within the goal", "目標内"),
    "haste slow": ("beyond the goal, within the limit", "目標超過、上限内"),
    "haste late": ("beyond the limit", "上限超過"),
    "rings": ("Test by rings", "リングによる検証"),
    "ring": ("ring", "リング"),
    "ring team": ("team", "検証チーム"),
    "ring volunteers": ("volunteers", "ボランティア"),
    "ring early": ("early", "先行"),
    "ring broad": ("everybody else", "その他全員"),
    "ring critical-last": ("critical, last", "重要機器（最後）"),
    "not_yet": ("not yet", "未提供"),
    "answer clean": ("clean", "問題なし"),
    "answer trying": ("trying", "確認中"),
    "answer waiting": ("not installed yet", "未適用"),
    "answer quiet": ("not heard since", "応答なし"),
    "answer harmed": ("failed or broke something", "失敗・不具合"),
    "answer refuted": ("still open", "穴が残る"),
    "proven": ("seen fixed by others", "外部で確認済み"),
    "who": ("Who they are", "該当する端末の一覧"),
    "events": ("What happened last", "最近の出来事"),
    "more": ("and {n} more", "ほか{n}件"),
    "of": ("of", "／"),
}


def language_of(accept: str, chosen: str | None) -> str:
    """Pick the language: what the reader chose, else the browser's first known one, else English."""
    if chosen is not None and chosen in LANGUAGES:
        return chosen
    for part in accept.split(","):
        code = part.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return "en"


def texts(language: str) -> dict[str, str]:
    """Give all texts in one language."""
    column = LANGUAGES.index(language)
    return {key: pair[column] for key, pair in TEXTS.items()}
