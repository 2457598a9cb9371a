"""Mails before 55,000 people see them: what would go out now, or what a campaign's mails look like; nothing is sent."""

from collections.abc import Iterator
from datetime import datetime

from forestall.domain.action import Action
from forestall.domain.errors import InputError
from forestall.domain.notice import MessageId, Notice, NoticeId, Person
from forestall.domain.order import CampaignId
from forestall.server.mail_text import LETTERS, topics_of
from forestall.server.post import Message, Post
from forestall.store import notices

SAMPLE = "your.name@example.com"


def next_messages(post: Post, now: datetime) -> tuple[int, list[Message]]:
    """Compose what would be handed over now, in a transaction that is undone; all of it counted, a batch composed."""
    with post.database.begin() as con:
        undone = con.begin_nested()
        post.write_in(con, now)
        waiting = notices.waiting(con, now)
        messages = post.begin(con, now)
        undone.rollback()
    return waiting, messages


def samples(post: Post, campaign: str, language: str, now: datetime) -> Iterator[tuple[str, bytes]]:
    """Write each mail of a campaign as a made-up person would get it; gives its name and the message.

    Raises:
        InputError: there is no such campaign.
    """
    name = CampaignId(campaign)
    with post.database.begin() as con:
        topic = topics_of(con, [name]).get(name)
    if topic is None:
        raise InputError(f"There is no campaign “{campaign[:80]}”. List them: forestall campaign ls")
    person = Person(SAMPLE, "Your Name", language)
    for action in (Action.ANNOUNCE, Action.ASK, Action.WARN):
        notice = Notice(NoticeId("0" * 32), name, topic.campaign.revision, action, person)
        yield LETTERS[action], post.writer.write(MessageId(notice.id), [(notice, topic)], {}, now)
