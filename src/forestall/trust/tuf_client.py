"""The bare TUF client behind `forestall-agent tuf`: three verbs, judged by the public conformance suite.

It trusts the root in its metadata folder; the agent itself goes by `trust.verifier.Trust`.
"""

import ssl
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from tuf.api import exceptions as tuf
from tuf.api.metadata import TargetFile

from forestall.trust.fetcher import Fetcher
from forestall.trust.verifier import Reason, Refusal, address_of, guarded, updater


def init(metadata_dir: Path, root: Path) -> Refusal | None:
    """Trust a root from now on; nothing is asked of any server."""

    def keep() -> None:
        metadata_dir.mkdir(parents=True, exist_ok=True)
        (metadata_dir / "root.json").write_bytes(root.read_bytes())

    return guarded(keep, str(root))


def refresh(metadata_dir: Path, url: str, context: ssl.SSLContext, now: datetime) -> Refusal | None:
    """Bring the top roles' metadata up to date."""
    return guarded(lambda: updater(metadata_dir, url, Fetcher(context), now, None).refresh(), url)


def download(
    metadata_dir: Path,
    url: str,
    name: str,
    base_url: str,
    target_dir: Path,
    context: ssl.SSLContext,
    now: datetime,
) -> Path | Refusal:
    """Fetch a target unless it is there already, going on where an earlier try broke off."""

    def work() -> Path | None:
        client = updater(metadata_dir, url, Fetcher(context), now, None)
        target = client.get_targetinfo(name)
        if target is None:
            return None
        place = target_dir / quote(target.path, "")
        if client.find_cached_target(target, str(place)) is None:
            base = base_url if base_url.endswith("/") else f"{base_url}/"
            plain = not client._trusted_set.root.consistent_snapshot  # noqa: SLF001 - tuf does not show it
            _fetch(Fetcher(context), base + target.path if plain else address_of(base, target), target, place)
        return place

    found = guarded(work, url)
    return Refusal(Reason.NOT_NAMED, f"no signed list names {name}", url) if found is None else found


def _fetch(fetcher: Fetcher, url: str, target: TargetFile, place: Path) -> None:
    """Fetch into a file beside the place; it takes the place only when it is what was signed."""
    part = place.with_name(f".{next(iter(target.hashes.values()))[:32]}.part")
    place.parent.mkdir(parents=True, exist_ok=True)
    begun = part.exists()
    _continue(fetcher, url, target, part)
    try:
        with part.open("rb") as file:
            target.verify_length_and_hashes(file)
    except tuf.LengthOrHashMismatchError:
        part.unlink()
        if not begun:
            raise
        _fetch(
            fetcher, url, target, place
        )  # the beginning may have come from a liar: once more, from nothing
        return
    part.replace(place)


def _continue(fetcher: Fetcher, url: str, target: TargetFile, part: Path) -> None:
    """Fetch what is missing of a file; what came is kept for the next try, unless it is too much."""
    with part.open("ab") as file:
        got = file.tell()
        for chunk in fetcher.chunks(url, got) if got < target.length else ():
            got += len(chunk)
            if got > target.length:
                break
            file.write(chunk)
    if got > target.length:
        part.unlink()
        raise tuf.DownloadLengthMismatchError(f"longer than the {target.length} bytes that are signed")
    if got < target.length:
        raise tuf.DownloadError(f"broke off after {got} of {target.length} bytes")
