"""The conversation as a page on loopback: no script, every choice a button, none of them the default.

The address holds a token that only the helper's person knows; what comes without it, or from another page, gets
nothing. The page says what the service says, and hands on what was chosen; it can do no more.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from forestall.agent import person_texts as words
from forestall.agent.conversation import LONGEST_COMPLAINT, Answer, Broke, Verdict, View, Volunteering, Word
from forestall.domain.asking import Choice
from forestall.domain.errors import AgentError

_HERE = Path(__file__).parent
_MOST_FORM = 8_192
"""Five hundred characters of Japanese are 4,500 bytes of a form."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the page is made of, and whom it tells."""

    look: Callable[[], View]
    tell: Callable[[Answer | Word], Verdict]
    tongue: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


def draw(desk: Desk, heard: str = "") -> str:
    """Draw the page of now."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    found = desk.look()
    return environment.get_template("page.html").render(
        view=found.question,
        said=found,
        longest=LONGEST_COMPLAINT,
        t={key: words.said(pair, desk.tongue) for key, pair in words.PAGE.items()},
        tongue=desk.tongue,
        heard=heard,
        moment=lambda at: words.moment(at, desk.tongue),
    )


def serve_page(desk: Desk) -> ThreadingHTTPServer:
    """Make the server; it is for the caller to run it in a thread and to close it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(desk))
    server.daemon_threads = True
    return server


def address(server: ThreadingHTTPServer, desk: Desk) -> str:
    """Give the page's address."""
    return f"http://{home(server.server_port)}/{desk.token}/"


def home(port: int) -> str:
    """Name the host as a browser does."""
    return f"127.0.0.1:{port}"


def wanted(desk: Desk, path: str, headers: Message, host: str) -> str | None:
    """Find what below the token is wanted; nothing for who knows no token, or comes from another page."""
    origin = headers.get("Origin", f"http://{host}")
    if headers.get("Host") != host or origin != f"http://{host}":
        return None
    if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        return None
    token, slash, rest = path.removeprefix("/").partition("/")
    return rest if slash and secrets.compare_digest(token.encode(), desk.token.encode()) else None


def read_form(body: str) -> Answer | Word | None:
    """Read a form of the page; of anything else, nothing."""
    try:
        fields = {key: values[0] for key, values in parse_qs(body, max_num_fields=8).items()}
        if "campaign" in fields:
            return Broke(fields["campaign"][:80], fields.get("what", "")[:LONGEST_COMPLAINT])
        if "joins" in fields:
            return Volunteering({"yes": True, "no": False}[fields["joins"]])
        at = datetime.fromisoformat(fields["at"]) if fields["choice"] == Choice.AT else None
        return Answer(fields["question"], Choice(fields["choice"]), at)
    except (KeyError, ValueError):
        return None


def _handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "forestall", ""
        timeout = 10

        def do_GET(self) -> None:
            match self._wanted():
                case "":
                    self._say(200, "text/html", draw(desk))
                case "page.css":
                    self._say(200, "text/css", (_HERE / "page.css").read_text(encoding="utf-8"))
                case _:
                    self._say(404, "text/plain", "")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            path = self._wanted()
            if path != "answer" or not length.isdecimal() or int(length) > _MOST_FORM:
                self._say(404, "text/plain", "")
                return
            answer = read_form(self.rfile.read(int(length)).decode(errors="replace"))
            self._say(200, "text/html", draw(desk, heard(desk, answer)))

        def _wanted(self) -> str | None:
            return wanted(desk, self.path, self.headers, home(self.connection.getsockname()[1]))

        def _say(self, status: int, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            headers = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}
            for name, value in {**headers, **HEADERS}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing: the address holds the token."""

    return Handler


def heard(desk: Desk, answer: Answer | Word | None) -> str:
    """Hand on an answer, and say what came of it."""
    if answer is None:
        return words.said(words.UNHEARD["odd"], desk.tongue)
    try:
        verdict = desk.tell(answer)
    except AgentError as error:
        return str(error)
    if isinstance(answer, Answer):
        return words.heard(verdict, answer, desk.tongue)
    return words.heard_word(verdict, answer, desk.tongue)
