"""The mails of the process, in the language of the person who gets them (P6.1, P6.3, P8.3, A2).

Addresses and names come from outside: the modern message class refuses line breaks in headers.
"""

from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from enum import StrEnum


class Letter(StrEnum):
    """Which mail."""

    ANNOUNCEMENT = "announcement"
    FINAL_WARNING = "final_warning"
    SELF_CHECK = "self_check"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a mail is about. Several machines of one person are one mail."""

    letter: Letter
    update: str
    machines: tuple[str, ...]
    deadline_at: datetime | None
    minutes: int
    """From a final warning to the removal."""
    link: str


_TEXTS: dict[tuple[Letter, str], tuple[str, str]] = {
    (Letter.ANNOUNCEMENT, "en"): (
        "Security update {update}: please install before {deadline}",
        (
            "A security flaw is closed by the update {update}.\n\nYour machines: {machines}\n\n"
            "Please install it at a moment that suits you, before {deadline}. After that it is installed by\n"
            "force, and machines that nobody manages are taken off the network while they are vulnerable.\n\n"
            "The update: {link}\n"
        ),
    ),
    (Letter.ANNOUNCEMENT, "ja"): (
        "セキュリティ更新 {update}：{deadline} までに適用してください",
        (
            "更新 {update} によりセキュリティの欠陥が修正されます。\n\n対象の端末：{machines}\n\n"
            "{deadline} までに、都合のよい時に適用してください。期限を過ぎると強制的に適用されます。\n"
            "管理対象外の端末は、脆弱な間ネットワークから切り離されます。\n\n更新の入手先：{link}\n"
        ),
    ),
    (Letter.FINAL_WARNING, "en"): (
        "Final warning: {machines} will be taken off the network in {minutes} minutes",
        (
            "The deadline for {update} was {deadline}, and this machine is still vulnerable: {machines}\n\n"
            "It is checked again shortly. If it is still vulnerable it is taken off the network {minutes} minutes\n"
            "after this mail. It is let back as soon as a check shows it fixed.\n\nThe update: {link}\n"
        ),
    ),
    (Letter.FINAL_WARNING, "ja"): (
        "最終警告：{machines} は{minutes}分後にネットワークから切り離されます",
        (
            "{update} の期限は {deadline} でした。次の端末はまだ脆弱です：{machines}\n\n"
            "まもなく再検査します。まだ脆弱な場合、このメールから{minutes}分後にネットワークから切り離します。\n"
            "修正が確認され次第、復帰します。\n\n更新の入手先：{link}\n"
        ),
    ),
    (Letter.SELF_CHECK, "en"): (
        "Please check {machines} for {update}",
        (
            "We cannot see from outside whether this machine has the security update {update}: {machines}\n\n"
            "Please open this page on that machine; it checks and tells you: {link}\n"
        ),
    ),
    (Letter.SELF_CHECK, "ja"): (
        "{machines} の {update} を確認してください",
        (
            "次の端末にセキュリティ更新 {update} が適用済みか、外部から確認できません：{machines}\n\n"
            "その端末で次のページを開いてください。検査して結果をお知らせします：{link}\n"
        ),
    ),
}


def compose(
    contents: Contents, recipient: str, sender: str, language: str, sent_at: datetime
) -> EmailMessage:
    """Write a mail.

    Raises:
        ValueError: the address is none.
    """
    subject, body = _TEXTS[contents.letter, language if language == "ja" else "en"]
    deadline = f"{contents.deadline_at:%Y-%m-%d %H:%M} UTC" if contents.deadline_at else "-"
    words = {
        "update": contents.update,
        "machines": ", ".join(contents.machines),
        "deadline": deadline,
        "minutes": contents.minutes,
        "link": contents.link,
    }
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=recipient)
    message["Date"] = sent_at
    message["Subject"] = " ".join(subject.format(**words).split())
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.format(**words))
    return message
