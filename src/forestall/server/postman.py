"""Hands over mail: beside the clockwork, so that a slow mail server holds up nothing but mail."""

import sys
import threading

import structlog

from forestall.domain.errors import InputError
from forestall.notify.smtp import Courier
from forestall.server.claims import ClaimPost
from forestall.server.post import Post
from forestall.server.returned import Returned, read_mailbox
from forestall.server.watermark import Watermark

_log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


class Postman:
    """In each turn what came back is taken in, and what is due is handed over."""

    def __init__(self, post: Post, watermark: Watermark, claims: ClaimPost | None = None) -> None:
        self._post = post
        self._claims = claims
        self._watermark = watermark
        self._courier: Courier | None = None
        self._hurried = threading.Event()

    def turn(self) -> None:
        """Take one turn; nothing leaves a server that was restored from a backup (A12)."""
        post = self._post
        self._take_back()
        if self._watermark.observing(post.database):
            return
        if trouble := post.write():
            _log.warning("everybody cannot be told", why=trouble)
        courier = self._courier = self._courier or Courier(post.writer.mail.server)
        self._hand_over(courier)
        if self._claims is not None and not self._hurried.is_set():
            self._claims.hand_over(courier)

    def _hand_over(self, courier: Courier) -> None:
        """Hand over batch after batch, until nothing is due or the mail server is not reached."""
        while not self._hurried.is_set() and (answers := self._post.hand_over(courier)):
            counts = {str(answer.outcome): 0 for answer in answers}
            for answer in answers:
                counts[str(answer.outcome)] += 1
            _log.info("mail handed over", **counts)
            if not any(answer.reached for answer in answers):
                _log.warning("mail waits", why=answers[0].detail)
                return

    def hurry(self) -> None:
        """Hand over no batch after the one at hand."""
        self._hurried.set()

    def end(self) -> None:
        """Hang up."""
        if self._courier is not None:
            self._courier.close()

    def _take_back(self) -> None:
        """Take in what came back; a mailbox that cannot be read keeps no mail from going out."""
        post, box = self._post, self._post.writer.mail.bounces
        if box is None:
            return
        try:
            came = read_mailbox(post.database, box, post.writer.domain, post.actor, post.clock())
        except InputError as error:
            _log.warning("what came back cannot be read", why=str(error))
            return
        if came[Returned.TAKEN_BACK]:
            _log.info("mail came back", messages=came[Returned.TAKEN_BACK])
