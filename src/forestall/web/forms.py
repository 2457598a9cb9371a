"""Pages with a form: their headers, who sends it, and whether it is ours."""

from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request

from forestall.web.pages import HEADERS

FORM_HEADERS = HEADERS | {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].replace(
        "form-action 'none'", "form-action 'self'"
    )
}
_MOST_BYTES = 4_096


def from_of(request: Request) -> str:
    """Say where a request comes from."""
    return request.client.host if request.client else ""


def foreign(request: Request) -> bool:
    """Say whether a form was sent from somewhere else than our own page."""
    origin = request.headers.get("origin", "")
    site = request.headers.get("sec-fetch-site", "same-origin")
    host = request.headers.get("host", "")
    return site not in {"same-origin", "none"} or (bool(origin) and urlsplit(origin).netloc != host)


async def form_of(request: Request) -> dict[str, str]:
    """Read a small form, of each field the first value; empty where it is none, or too long for one."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode("ascii", "replace"), max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
