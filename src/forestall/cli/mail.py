"""`forestall mail`: what people are told, and what the mail server said."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forestall.cli.options import Directory
from forestall.cli.output import Json, print_json, print_line, print_table
from forestall.domain.errors import InputError

if TYPE_CHECKING:
    from forestall.server.post import Post

app = typer.Typer(help="What people are told, and what the mail server said.", no_args_is_help=True)
_MOST_BYTES = 64 * 1024 * 1024


@app.command()
def preview(
    campaign: Annotated[
        str, typer.Argument(help="This campaign's mails as samples; nothing: what would go out now.")
    ] = "",
    lang: Annotated[str, typer.Option(help="Language of samples: en or ja.")] = "en",
    limit: Annotated[int, typer.Option(min=1, max=100, help="Show at most this many.")] = 3,
    to: Annotated[
        Path | None, typer.Option(help="Write them as .eml files into this directory instead.")
    ] = None,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Show mails before anybody gets them; sends and changes nothing."""
    from forestall.clock import utc_now
    from forestall.server.mail_preview import next_messages, samples

    with _post(data) as post:
        if campaign:
            shown = [(f"{name}.eml", content) for name, content in samples(post, campaign, lang, utc_now())]
            waiting = 0
        else:
            waiting, messages = next_messages(post, utc_now())
            shown = [(f"{each.id}.eml", each.parcel.content) for each in messages]
    if json:
        print_json({"waiting": waiting, "messages": [_readable(content) for _, content in shown[:limit]]})
    elif to is not None:
        to.mkdir(parents=True, exist_ok=True)
        for name, content in shown:
            (to / name).write_bytes(content)
        print_line(f"{len(shown)} mails written to {to}")
    else:
        _show(content for _, content in shown[:limit])
    if not json and not campaign:
        print_line(f"{waiting} notices wait to be handed over now.")


@app.command(name="test")
def trial(
    address: Annotated[str, typer.Argument(help="Where the test goes; yourself, best.")],
    lang: Annotated[str, typer.Option(help="en or ja.")] = "en",
    data: Directory = None,
    json: Json = False,
) -> None:
    """Send one test mail and say what the mail server answered."""
    from forestall.clock import utc_now
    from forestall.domain.notice import address_of
    from forestall.domain.record import Outcome
    from forestall.notify.smtp import Courier, Parcel

    recipient = address_of(address)
    if not recipient:
        raise InputError(f"“{address[:80]}” is no mail address")
    with _post(data) as post:
        writer = post.writer
        content = writer.trial(recipient, lang, utc_now())
        with Courier(writer.mail.server, connections=1) as courier:
            (answer,) = courier.hand_over([Parcel(writer.mail.return_path, recipient, content)])
    if json:
        print_json({"outcome": answer.outcome, "answer": answer.detail})
    else:
        print_line(f"{answer.outcome}: {answer.detail}")
    if answer.outcome is not Outcome.DONE:
        raise typer.Exit(1)


@app.command()
def bounce(
    mailbox: Annotated[
        Path | None,
        typer.Argument(help="A Maildir of mails that came back; nothing: mails come in here, piped."),
    ] = None,
    data: Directory = None,
    json: Json = False,
) -> None:
    """Take in mails that came back: their acceptance is taken back, and no removal rests on it (A14)."""
    from collections import Counter

    from forestall.clock import utc_now
    from forestall.notify.bounces import messages_of
    from forestall.server.returned import Returned, read_mailbox, take_back

    piped = b"" if mailbox else sys.stdin.buffer.read(_MOST_BYTES)
    with _post(data) as post:
        domain, now = post.writer.domain, utc_now()
        if mailbox is not None:
            counts = read_mailbox(post.database, mailbox, domain, post.actor, now)
        else:
            came = Counter(
                take_back(post.database, each, domain, post.actor, now) for each in messages_of(piped)
            )
            counts = {each: came[each] for each in Returned}
    if json:
        print_json(counts)
    else:
        print_table(["what it was", "mails"], counts.items(), empty="")


@app.command()
def status(data: Directory = None, json: Json = False) -> None:
    """Show how far the mails of each campaign got."""
    from forestall.server.wiring import opened
    from forestall.store import notices

    with opened(data) as installation, installation.database.begin() as con:
        rows = notices.progress(con)
    if json:
        print_json(rows)
        return
    print_table(
        ["campaign", "mail", "waiting", "accepted", "refused", "dropped", "last trouble"],
        ([r.campaign, r.action, r.waiting, r.accepted, r.refused, r.dropped, r.trouble] for r in rows),
        empty="Nobody was told of anything yet.",
    )


@contextmanager
def _post(data: Path | None) -> "Iterator[Post]":
    from forestall.clock import utc_now
    from forestall.server.post import post_of
    from forestall.server.wiring import opened

    with opened(data) as installation:
        mail = installation.settings.mail
        if mail is None:
            raise InputError(
                f"No mail server is connected. Name one in {installation.settings.directory / 'forestall.toml'}: "
                '[mail] server = "mail.your.domain", sender = "...", link_base = "https://..."'
            )
        yield post_of(installation, mail, utc_now)


def _show(contents: Iterable[bytes]) -> None:
    for content in contents:
        mail = _readable(content)
        for name in ("To", "From", "Subject", "Message-ID"):
            print_line(f"{name}: {mail[name]}")
        print_line(f"\n{mail['text']}\n{'-' * 72}")


def _readable(content: bytes) -> dict[str, str]:
    """Show a mail as its reader sees it."""
    from email import message_from_bytes
    from email.message import EmailMessage
    from email.policy import default

    mail = message_from_bytes(content, _class=EmailMessage, policy=default)
    body = mail.get_body(("plain",))
    return {
        **{name: str(mail[name] or "") for name in ("To", "From", "Subject", "Message-ID")},
        "text": body.get_content() if body else "",
    }
