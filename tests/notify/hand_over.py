"""A process that hands over mail until it is killed: URL of the database, port, directory, now."""

import sys
from datetime import datetime
from pathlib import Path

from forestall.domain.policy import Policy
from forestall.notify.message import sender_of
from forestall.notify.smtp import Courier, MailServer, Tls
from forestall.server.links import open_links
from forestall.server.mail_settings import MailSettings
from forestall.server.mail_text import Writer
from forestall.server.post import Post
from forestall.store.database import Database

url, port, directory, now = sys.argv[1:]
mail = MailSettings(
    server=MailServer("127.0.0.1", int(port), Tls.NONE),
    sender=sender_of("Patch Desk <patch@corp.example>"),
    return_path="bounces@corp.example",
    link_base="https://patch.corp.example",
    directory=Path(directory) / "people.csv",
)
with Database(url) as database, Courier(mail.server, connections=1) as courier:
    writer = Writer(mail, open_links(Path(directory)), Policy())
    post = Post(database, Policy(), writer, lambda: datetime.fromisoformat(now))
    post.write()
    while post.hand_over(courier):
        pass
