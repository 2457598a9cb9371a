"""Serves the signed files as they lie on disk, with ranges; nginx, squid or a CDN may do the same from a copy."""

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from forestall import protocol
from forestall.trust.repository import Repository

_PATH = re.compile(
    r"(metadata|targets)(/[A-Za-z0-9][A-Za-z0-9.+~^:_-]*){1,6}\.json|targets/payloads/([0-9a-f]{64})\.\3"
)
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


def trust_routes(repository: Repository) -> list[Route]:
    """Make the route; only names that the repository itself could have written are looked for."""

    async def serve(request: Request) -> Response:
        path = request.path_params["path"]
        file = repository.directory / path
        if not _PATH.fullmatch(path) or not file.is_file():
            raise HTTPException(404, "No such signed file")
        cached = _ASK_AGAIN if path == "metadata/timestamp.json" else _FOR_EVER
        kind = "application/json" if path.endswith(".json") else "application/octet-stream"
        return FileResponse(file, media_type=kind, headers={"Cache-Control": cached})

    return [Route(f"{protocol.TRUST}/{{path:path}}", serve, methods=["GET"])]
