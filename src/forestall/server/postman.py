"""The loop that hands over mail: beside the clockwork, so that a slow mail server holds up nothing but mail."""

import sys
import threading
from contextlib import ExitStack

import structlog

from forestall.domain.errors import ForestallError, InputError
from forestall.notify.smtp import Courier
from forestall.server.post import Post
from forestall.server.returned import Returned, read_mailbox
from forestall.server.watermark import Watermark

_log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


class Postman:
    """Takes a turn every few seconds: what came back is taken in, what is due is handed over."""

    def __init__(self, post: Post, watermark: Watermark, every_seconds: float) -> None:
        self._post = post
        self._watermark = watermark
        self._every_seconds = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)

    def start(self) -> None:
        """Start turning."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch at hand, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def turn(self, courier: Courier) -> None:
        """Take one turn; nothing leaves a server that was restored from a backup (A12)."""
        post = self._post
        self._take_back()
        if self._watermark.observing(post.database):
            return
        if trouble := post.write():
            _log.warning("everybody cannot be told", why=trouble)
        while not self._stop.is_set() and (answers := post.hand_over(courier)):
            counts = {str(answer.outcome): 0 for answer in answers}
            for answer in answers:
                counts[str(answer.outcome)] += 1
            _log.info("mail handed over", **counts)
            if not any(answer.reached for answer in answers):
                _log.warning("mail waits", why=answers[0].detail)
                return

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

    def _run(self) -> None:
        with ExitStack() as stack:
            courier: Courier | None = None
            while not self._stop.is_set():
                try:
                    courier = courier or stack.enter_context(Courier(self._post.writer.mail.server))
                    self.turn(courier)
                except ForestallError as error:
                    _log.warning("no mail this time", why=str(error))
                except Exception:  # noqa: BLE001 - the postman must not stop for a fault in one turn
                    _log.exception("no mail this time, by a fault of Forestall's own")
                self._stop.wait(self._every_seconds)
