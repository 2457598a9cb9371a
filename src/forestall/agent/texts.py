"""What the agent says to the person at the machine, in English and Japanese."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from forestall.domain.order import Step

NEXT: Mapping[str, Mapping[Step, str]] = {
    "en": {
        Step.DROP: "The update was withdrawn. Nothing will be installed.",
        Step.REST: "Done. Nothing is left to do.",
        Step.AWAIT_RESTART: "Installed, but old programs still run. Restart them (or the machine) to be safe.",
        Step.CHECK_IN: "Waiting for the server before anything else is done.",
        Step.OFFER: "You choose the moment: sudo forestall-agent install {campaign}",
        Step.DOWNLOAD: "It is being fetched. You choose the moment: sudo forestall-agent install {campaign}",
        Step.WAIT: "You choose the moment until the deadline: sudo forestall-agent install {campaign}",
        Step.COUNT_DOWN: "The deadline has come; this cannot be put off. It is installed {until}.",
        Step.INSTALL: "You picked this moment. It is being installed.",
        Step.RESTART_SERVICES: "Services that run old code are being started anew.",
        Step.RESTART: "The machine is about to restart.",
        Step.FORCE: "The deadline has passed. It is being installed.",
    },
    "ja": {
        Step.DROP: "この更新は取り下げられました。何もインストールされません。",
        Step.REST: "完了しました。することはありません。",
        Step.AWAIT_RESTART: "インストール済みですが、古いプログラムがまだ動いています。再起動してください。",
        Step.CHECK_IN: "サーバーへの確認を待っています。",
        Step.OFFER: "時刻は自由に選べます: sudo forestall-agent install {campaign}",
        Step.DOWNLOAD: "取得中です。時刻は自由に選べます: sudo forestall-agent install {campaign}",
        Step.WAIT: "期限までは時刻を自由に選べます: sudo forestall-agent install {campaign}",
        Step.COUNT_DOWN: "期限のため、これ以上は延期できません。{until}にインストールされます。",
        Step.INSTALL: "ご指定の時刻になりました。インストール中です。",
        Step.RESTART_SERVICES: "古いコードのサービスを再起動しています。",
        Step.RESTART: "まもなく再起動します。",
        Step.FORCE: "期限が過ぎました。インストール中です。",
    },
}

RESTART: Mapping[str, Mapping[Step, str]] = {
    "en": {
        Step.WAIT: "Installed; in force after one restart. You choose the moment: forestall-agent ask",
        Step.COUNT_DOWN: "Installed; the machine restarts {until}. Save your work.",
        Step.RESTART: "Installed; the machine is about to restart.",
    },
    "ja": {
        Step.WAIT: "インストール済みです。再起動すると有効になります。時刻を選べます: forestall-agent ask",
        Step.COUNT_DOWN: "インストール済みです。{until}に再起動します。作業中のファイルを保存してください。",
        Step.RESTART: "インストール済みです。まもなく再起動します。",
    },
}
"""What comes next where the agent restarts the machine itself."""

SERVICES: Mapping[str, Mapping[Step, str]] = {
    "en": {
        Step.WAIT: "Installed; in force once {units} is started anew. You choose the moment: forestall-agent ask",
        Step.COUNT_DOWN: "Installed; {units} is started anew {until}. The machine itself is not.",
        Step.RESTART_SERVICES: "Installed; {units} is being started anew.",
    },
    "ja": {
        Step.WAIT: "インストール済みです。{units} を再起動すると有効になります。時刻を選べます: forestall-agent ask",
        Step.COUNT_DOWN: "インストール済みです。{until}に {units} を再起動します。端末自体は再起動しません。",
        Step.RESTART_SERVICES: "インストール済みです。{units} を再起動しています。",
    },
}
"""What comes next where starting services anew is enough."""

FAILED: Mapping[str, str] = {
    "en": "The installation failed; it is tried again {until}.",
    "ja": "インストールに失敗しました。{until}に再試行します。",
}

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "deadline": "Deadline",
        "state": "State",
        "next": "Next",
        "problem": "Problem",
        "picked": "You picked",
        "held": "Waits, since it is in use",
        "services": "Failed since the installation",
        "broke": "You said that it broke",
        "volunteers": "This machine gets updates before others do, to test them.",
        "full_screen": "full screen",
        "presentation": "a presentation or a film",
        "battery": "little battery",
        "done": "What was done here",
        "nothing": "Nothing is asked of this machine.",
        "checked": "Last contact with the server",
        "never": "never",
        "in": "in {span}",
        "ago": "{span} ago",
        "day": "{n} d",
        "hour": "{n} h",
        "minute": "{n} min",
        "second": "{n} s",
        "fixed": "fixed",
        "pending_restart": "installed, waiting for a restart",
        "affected": "open",
        "not_affected": "does not concern this machine",
        "unknown": "cannot be told",
    },
    "ja": {
        "deadline": "期限",
        "state": "状態",
        "next": "次",
        "problem": "問題",
        "picked": "予約した時刻",
        "held": "使用中のため待機しています",
        "services": "インストール後に停止したサービス",
        "broke": "ご報告いただいた不具合",
        "volunteers": "このコンピューターは、テストのためほかより先に更新を受け取ります。",
        "full_screen": "全画面表示",
        "presentation": "発表または動画の再生中",
        "battery": "バッテリー残量不足",
        "done": "ここで行われたこと",
        "nothing": "このコンピューターへの要求はありません。",
        "checked": "サーバーとの最後の通信",
        "never": "なし",
        "in": "{span}後",
        "ago": "{span}前",
        "day": "{n}日",
        "hour": "{n}時間",
        "minute": "{n}分",
        "second": "{n}秒",
        "fixed": "修正済み",
        "pending_restart": "インストール済み、再起動待ち",
        "affected": "未修正",
        "not_affected": "対象外",
        "unknown": "不明",
    },
}

HEARD: Mapping[str, Mapping[str, str]] = {
    "en": {
        "joined": "Noted: this machine gets updates before others do. The server hears of it at the next contact.",
        "left": "Noted: this machine gets updates with all others. The server hears of it at the next contact.",
        "broke": "Noted. The server hears of it at the next contact.",
    },
    "ja": {
        "joined": "記録しました。このコンピューターはほかより先に更新を受け取ります。次の通信時にサーバーへ伝えます。",
        "left": "記録しました。このコンピューターはほかと同時に更新を受け取ります。次の通信時にサーバーへ伝えます。",
        "broke": "記録しました。次の通信時にサーバーへ伝えます。",
    },
}
"""What is said to somebody who told the agent something about testing (P4.1, P4.2)."""

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def language(environment: Mapping[str, str] = os.environ) -> str:
    """Choose the person's language from the locale, English where we have no other."""
    locale = next((environment[key] for key in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(key)), "")
    return "ja" if locale.startswith("ja") else "en"


def span(length: timedelta, tongue: str) -> str:
    """Say a length in its largest unit, `in 4 h` or `2 d ago`."""
    seconds = int(abs(length).total_seconds())
    unit, size = next((pair for pair in _UNITS if seconds >= pair[1]), _UNITS[-1])
    words = WORDS[tongue]
    said = words[unit].format(n=seconds // size)
    return words["in" if length >= timedelta() else "ago"].format(span=said)


def instant(at: datetime, now: datetime, tongue: str) -> str:
    """Say an instant in the machine's own time zone and how far away it is."""
    return f"{at.astimezone():%Y-%m-%d %H:%M %Z} ({span(at - now, tongue)})"


def what_next(
    step: str, campaign: str, until: datetime | None, now: datetime, tongue: str, *, failed: bool
) -> str:
    """Say what happens next about an order."""
    when = span(until - now, tongue) if until else ""
    if failed and step == Step.WAIT:
        return FAILED[tongue].format(until=when)
    sentence = NEXT[tongue].get(Step(step)) if step else None
    return sentence.format(campaign=campaign, until=when) if sentence else ""


def restart_next(step: str, units: Sequence[str], until: datetime | None, now: datetime, tongue: str) -> str:
    """Say what happens next about what is installed and waits for a restart of the machine, or of services."""
    sentence = (SERVICES if units else RESTART)[tongue].get(Step(step)) if step else None
    if sentence is None:
        return NEXT[tongue][Step.AWAIT_RESTART]
    return sentence.format(until=span(until - now, tongue) if until else "", units=", ".join(units))
