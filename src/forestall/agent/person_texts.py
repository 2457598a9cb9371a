"""What the person at the machine is asked, in English and Japanese: what, why, how long, until when."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from forestall.agent.conversation import Answer, Broke, Verdict, Word
from forestall.agent.debian import printable
from forestall.agent.texts import HEARD, span
from forestall.domain.asking import Choice, Question, Topic
from forestall.protocol import OrderMessage

MOST_NAMED = 3

_NOW: Mapping[str, tuple[str, str]] = {
    "install": ("Install now", "今すぐインストール"),
    "restart": ("Restart now", "今すぐ再起動"),
    "services": ("Start them anew now", "今すぐサービスを再起動"),
}
_CHOICES: Mapping[Choice, tuple[str, str]] = {
    Choice.AT: ("Pick a time", "時刻を選ぶ"),
    Choice.LATER: ("Later", "あとで"),
}

_SENTENCES: Mapping[str, tuple[str, str]] = {
    "one": ("Security update: {name}", "セキュリティ更新：{name}"),
    "many": ("{n} security updates", "セキュリティ更新 {n} 件"),
    "restart": ("A restart is needed", "再起動が必要です"),
    "soon install": ("Installed {when}: {name}", "{when}にインストールします：{name}"),
    "soon restart": ("This machine restarts {when}", "{when}に再起動します"),
    "services": ("Services are to be started anew", "サービスの再起動が必要です"),
    "soon services": ("Services are started anew {when}", "{when}にサービスを再起動します"),
    "more": ("And {n} more.", "ほか {n} 件。"),
    "long install": (
        "You can go on working meanwhile.",
        "インストール中も作業を続けられます。",
    ),
    "why restart": (
        "Installed, but not in force before a restart: {name}. One restart does for all of it; it takes a few minutes.",
        "インストール済みですが、再起動するまで有効になりません：{name}。再起動は 1 回で、数分かかります。",
    ),
    "why services": (
        "In force once these services are started anew: {units}. The machine stays up; their work pauses briefly.",
        "次のサービスを再起動すると有効になります：{units}。端末は再起動しません。サービスが少しの間中断します。",
    ),
    "until install": (
        "The moment is yours until {at} ({when}). Then it is installed by itself.",
        "{at}（{when}）までは、ご都合のよい時刻を選べます。それ以降は自動的にインストールされます。",
    ),
    "until restart": (
        "The moment is yours until {at} ({when}). Then the machine restarts by itself.",
        "{at}（{when}）までは、ご都合のよい時刻を選べます。それ以降は自動的に再起動します。",
    ),
    "until services": (
        "The moment is yours until {at} ({when}). Then they are started anew by themselves.",
        "{at}（{when}）までは、ご都合のよい時刻を選べます。それ以降は自動的に再起動します。",
    ),
    "last install": (
        "It is installed at {at}, the deadline. It cannot be put off any longer.",
        "期限の {at} にインストールします。これ以上は延期できません。",
    ),
    "last restart": (
        "It restarts at {at}. Save your work; it cannot be put off any longer.",
        "{at} に再起動します。作業中のファイルを保存してください。これ以上は延期できません。",
    ),
    "last services": (
        "They are started anew at {at}. It cannot be put off any longer.",
        "{at} にサービスを再起動します。これ以上は延期できません。",
    ),
    "picked services": (
        "They are started anew at {at}, as you picked. You may still pick another time.",
        "ご指定の {at} にサービスを再起動します。別の時刻も選べます。",
    ),
    "picked restart": (
        "It restarts at {at}, as you picked. Save your work, or pick another time.",
        "ご指定の {at} に再起動します。作業中のファイルを保存するか、別の時刻を選んでください。",
    ),
    "picked": ("You picked {at}. You may still change it.", "{at} に予約済みです。変更もできます。"),
}

ANSWERED: Mapping[Choice, tuple[str, str]] = {
    Choice.NOW: ("It begins in a moment.", "まもなく開始します。"),
    Choice.AT: ("Noted: {at}.", "{at} に予約しました。"),
    Choice.LATER: ("You are asked again tomorrow at the earliest.", "次のお知らせは明日以降です。"),
}

UNHEARD: Mapping[str, tuple[str, str]] = {
    "nothing-asked": (
        "This has changed meanwhile; look again.",
        "内容が変わりました。もう一度ご確認ください。",
    ),
    "no-choice": ("It cannot be put off any longer.", "これ以上は延期できません。"),
    "too-late": ("That is after the deadline.", "期限より後の時刻は選べません。"),
    "already-past": ("That moment has passed.", "過ぎた時刻は選べません。"),
    "not-yours": (
        "Only the person who works at this machine, or root, may answer.",
        "回答できるのは、この端末を使用中の方と管理者だけです。",
    ),
    "odd": ("The service did not understand.", "サービスが理解できませんでした。"),
    "not-here": (
        "No such update came onto this machine.",
        "その更新はこの端末にインストールされていません。",
    ),
    "too-often": ("One at a time: say it again in a moment.", "しばらくしてからもう一度お試しください。"),
    "no-room": (
        "It could not be kept; is the disk full?",
        "保存できませんでした。ディスクの空きをご確認ください。",
    ),
}

INSTALLED = ("Installed: {name}", "インストールしました：{name}")

PAGE: Mapping[str, tuple[str, str]] = {
    "nothing": ("Nothing is asked of you.", "お願いすることはありません。"),
    "pick": ("At this time", "この時刻にする"),
    "moment": ("Time", "時刻"),
    "by": (
        "From your company's Forestall agent on this machine.",
        "この端末の Forestall エージェントからのお知らせです。",
    ),
    "open": ("Open", "開く"),
    "broke title": ("Does something no longer work?", "動かなくなったものはありますか？"),
    "broke why": (
        "Say so after an update: it counts before others get it. Your words go to the people who test updates.",
        "更新後の不具合をお知らせください。ほかの端末に配る前の判断に使います。内容は更新の担当者に届きます。",
    ),
    "which": ("Update", "更新"),
    "words": ("In your own words, if you like", "具体的な内容（任意）"),
    "broke": ("It broke something", "不具合が出ました"),
    "test title": ("Testing updates first", "更新の先行テスト"),
    "test why": (
        "Some machines get updates before all others, so that what is bad about one shows early.",
        "一部の端末が先に更新を受け取り、問題を早く見つけます。",
    ),
    "join": ("Take part with this machine", "この端末で参加する"),
    "leave": ("Take part no longer", "参加をやめる"),
    "should": (
        "Should something no longer work, say so.",
        "動かなくなったものがあれば、お知らせください。",
    ),
    "type": (
        "Answer in a terminal: forestall-agent ask",
        "端末で回答するには：forestall-agent ask",
    ),
    "prompt": (
        "Type n for now, l for later, a number for a time above, or YYYY-MM-DD HH:MM",
        "n：今すぐ、l：あとで、番号：上の時刻、または YYYY-MM-DD HH:MM",
    ),
}  # fmt: skip

_DAYS = "月火水木金土日"


def said(pair: tuple[str, str], tongue: str, **parts: object) -> str:
    """Say one of two sentences."""
    return pair[tongue == "ja"].format(**parts)


def moment(at: datetime, tongue: str) -> str:
    """Say an instant in the machine's own time zone as people say it."""
    here = at.astimezone()
    if tongue == "ja":
        return f"{here.month}月{here.day}日({_DAYS[here.weekday()]}) {here:%H:%M}"
    return f"{here:%a} {here.day} {here:%b %H:%M}"


def heard(verdict: Verdict, answer: Answer, tongue: str) -> str:
    """Say what came of an answer."""
    if not verdict.taken:
        return said(UNHEARD.get(verdict.why, UNHEARD["odd"]), tongue)
    return said(ANSWERED[answer.choice], tongue, at=moment(answer.at, tongue) if answer.at else "")


def heard_word(verdict: Verdict, word: Word, tongue: str) -> str:
    """Say what came of what a person said unasked."""
    if not verdict.taken:
        return said(UNHEARD.get(verdict.why, UNHEARD["odd"]), tongue)
    if isinstance(word, Broke):
        return HEARD[tongue]["broke"]
    return HEARD[tongue]["joined" if word.joins else "left"]


def choice_words(question: Question, choice: Choice, tongue: str) -> str:
    """Label a choice."""
    return said(_NOW[_what(question)] if choice is Choice.NOW else _CHOICES[choice], tongue)


def _what(question: Question) -> str:
    return "services" if question.units else question.topic


def question_words(
    question: Question, about: Sequence[OrderMessage], now: datetime, tongue: str
) -> tuple[str, list[str]]:
    """Write a question: its title, and its sentences."""
    what, counting_to = _what(question), question.counting_to
    names = [order.source for order in about]
    name = _named(names)
    when = span((counting_to or question.latest_at) - now, tongue)

    def say(key: str, at: datetime | None = None) -> str:
        parts = {"name": name, "n": len(names), "when": when, "at": moment(at or question.latest_at, tongue)}
        parts["units"] = _named(question.units)
        return said(_SENTENCES[key], tongue, **parts)

    if counting_to is not None:
        title = say(f"soon {what}")
    elif question.topic is Topic.RESTART:
        title = say(what)
    else:
        title = say("one" if len(names) == 1 else "many")
    if question.topic is Topic.RESTART:
        sentences = [say(f"why {what}")]
    else:
        sentences = [*_reasons(about, tongue), say("long install")]
    if counting_to is None:
        sentences.append(say(f"until {what}"))
        if question.picked_at is not None:
            sentences.append(say("picked", question.picked_at))
    elif counting_to < question.latest_at:
        sentences.append(say(f"picked {what}", counting_to))
    else:
        sentences.append(say(f"last {what}", counting_to))
    return title, sentences


def _named(names: Sequence[str]) -> str:
    return ", ".join(printable(name, 60) for name in names[:MOST_NAMED]) + (
        " …" if len(names) > MOST_NAMED else ""
    )


def _reasons(about: Sequence[OrderMessage], tongue: str) -> list[str]:
    """Repeat what the signed orders say, the first few of them."""
    reasons = [printable(order.texts.get(tongue) or order.texts.get("en", ""), 400) for order in about]
    more = len(reasons) - MOST_NAMED
    return reasons[:MOST_NAMED] + ([said(_SENTENCES["more"], tongue, n=more)] if more > 0 else [])
