"""HTTP: what a server says it is, and two requests that patched and unpatched aiohttp answer differently."""

import re

from forestall.domain.evidence import Status
from forestall.probes.answer import Answer, Ask, Heard, printable, unknown

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |\r|\n)")
_SERVER = re.compile(rb"\r\nserver:[ \t]*([^\r\n]{1,200})", re.IGNORECASE)
_PRODUCT = re.compile(r"(Apache|nginx|lighttpd|squid)/([0-9][0-9.]*)", re.IGNORECASE)
_PACKAGES = {"apache": "apache2", "nginx": "nginx", "lighttpd": "lighttpd", "squid": "squid"}
_FILES = ("/", "/robots.txt", "/favicon.ico")
"""Where a static file may be found without guessing at people's contents."""


def server(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Read the Server header; distributions' revisions are seldom in it."""
    if not heard:
        return _get("/")
    said = _says(heard[0])
    if said is None:
        return unknown("the web server does not say what it is", heard[0].data[:80])
    if found := _PRODUCT.match(said):
        package, version = _PACKAGES[found[1].lower()], found[2]
        return Answer(
            Status.UNKNOWN, f"{package} {version}", printable(said.encode("latin-1")), package, version
        )
    return unknown(f"the web server is {printable(said.encode('latin-1'))}", said.encode("latin-1"))


def two_hosts(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Send two Host headers: aiohttp let the second pass until CVE-2026-34525 was mended."""
    if not heard:
        return _get("/", "Host: forestall.invalid")
    told = _aiohttp(heard[0])
    if told is not None:
        return told
    code = _code(heard[0])
    if code == 400:
        return Answer(Status.FIXED, "a request with two Host headers is refused", _first_line(heard[0]))
    return Answer(
        Status.AFFECTED, f"a request with two Host headers is answered with {code}", _first_line(heard[0])
    )


def range_digits(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Ask for a range in Arabic-Indic digits: aiohttp took them for digits until CVE-2025-69225 was mended.

    First a file is looked for that is served in ranges at all.
    """
    ranged = next((place for place, each in enumerate(heard) if _code(each) == 206), None)
    if ranged is None:
        if len(heard) == len(_FILES):
            return unknown("no file was found there that is served in ranges", heard[-1].data[:80])
        return _get(_FILES[len(heard)], "Range: bytes=0-0")
    if ranged == len(heard) - 1:
        return _aiohttp(heard[-1]) or _get(_FILES[ranged], "Range: bytes=\u0660-\u0660")
    code = _code(heard[-1])
    if code == 206:
        return Answer(Status.AFFECTED, "a range in Arabic-Indic digits is served", _first_line(heard[-1]))
    if code == 416:
        return Answer(Status.FIXED, "a range in Arabic-Indic digits is refused", _first_line(heard[-1]))
    return unknown(f"a range in Arabic-Indic digits is answered with {code}", heard[-1].data[:80])


def _get(path: str, *more: str) -> Ask:
    """Ask for a page on a connection of its own; the head of the answer is enough."""
    lines = (f"GET {path} HTTP/1.1", "Host: forestall.invalid", "User-Agent: forestall", "Connection: close")
    request = "\r\n".join((*lines, *more, "", ""))
    return Ask(request.encode(), lambda data: b"\r\n\r\n" in data, fresh=True)


def _code(heard: Heard) -> int | None:
    found = _STATUS.match(heard.data)
    return int(found[1]) if found else None


def _first_line(heard: Heard) -> str:
    return printable(heard.data.partition(b"\r\n")[0])


def _says(heard: Heard) -> str | None:
    head = heard.data.partition(b"\r\n\r\n")[0]
    found = _SERVER.search(head) if _code(heard) is not None else None
    return found[1].decode("latin-1") if found else None


def _aiohttp(heard: Heard) -> Answer | None:
    """Answer where this is no aiohttp: another server's behaviour says nothing of aiohttp's flaws."""
    said = _says(heard)
    if said is not None and "aiohttp/" in said:
        return None
    return unknown("the web server does not say that it is aiohttp", heard.data[:80])
