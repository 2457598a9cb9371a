"""Payloads of recipes: they travel with the papers that name them, and no other byte is signed, kept or served."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from laboratory.forger import Shelf, served
from laboratory.office import Office, approval_for
from starlette.applications import Starlette

from forestall.domain.errors import InputError, SignerError
from forestall.domain.recipe import Payload
from forestall.trust import channel
from forestall.trust.channel import Adopt
from forestall.trust.documents import RemediationDocument, write
from forestall.trust.metadata import make_papers, signed_by, version_of
from forestall.trust.payloads import keep
from forestall.trust.recipe import PayloadMessage, PutFileMessage, SetKernelMessage
from forestall.trust.roles import Role, remediation_path
from forestall.trust.travel import Folder
from forestall.trust.verifier import Reason, Refusal, Trust
from forestall.web.serve import serving
from forestall.web.trust_files import trust_routes
from trust.papers import NOW, order
from trust.test_signer import signer

CONTENT = b"definitions\n" * 40_000
PAYLOAD = Payload(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
PUT = PutFileMessage(
    PayloadMessage(PAYLOAD.sha256, PAYLOAD.length), "/opt/definitions", "root", "root", 0o644
)
ORDER = order(
    campaign="definitions-1", product="recipe", release="any", source="definitions", version="27455"
)
UPDATE = "any/definitions/27455"


def approval(**changed: object) -> RemediationDocument:
    return approval_for(ORDER, **{"recipe": PUT, **changed})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "main.cvd"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def folder(office: Office, tmp_path: Path, file: Path) -> Folder:
    """A folder that asks for the approval of a recipe, its payload in it."""
    made = Folder(tmp_path / "stick")
    made.pack(office.repository)
    made.propose([approval()], [], NOW, [file])
    return made


def adopted(office: Office, folder: Folder) -> None:
    folder.sign(office.keys(Role.REMEDIATIONS))
    with next(iter(folder.payloads().values())).open("rb") as source:
        signer(office).adopt(*folder.contents(), NOW, {PAYLOAD.sha256: source})


def kept(office: Office) -> list[bytes]:
    return [path.read_bytes() for path in office.repository.directory.glob("targets/payloads/*")]


def test_a_recipe_is_approved_and_its_payload_published(office: Office, folder: Folder) -> None:
    """P1.4, A10."""
    (asked,) = folder.asked()
    assert PAYLOAD.sha256 in asked.changes[0], "people see what they sign"
    adopted(office, folder)
    assert kept(office) == [CONTENT]
    assert signer(office).publish([ORDER], NOW).refused == ()


def test_what_is_in_force_needs_no_payload_to_travel_again(
    office: Office, folder: Folder, tmp_path: Path
) -> None:
    adopted(office, folder)
    again = Folder(tmp_path / "again")
    again.pack(office.repository)
    again.propose([approval(force_from=NOW)], [], NOW)
    again.renew(Role.REMEDIATIONS, NOW)
    again.sign(office.keys(Role.REMEDIATIONS))
    assert again.payloads() == {}
    signer(office).adopt(*again.contents(), NOW)
    assert kept(office) == [CONTENT]


def test_the_payload_of_a_recipe_that_is_taken_back_is_served_no_more(
    office: Office, folder: Folder, tmp_path: Path
) -> None:
    """A7."""
    adopted(office, folder)
    back = Folder(tmp_path / "back")
    back.pack(office.repository)
    back.propose([], [remediation_path(UPDATE)], NOW)
    back.sign(office.keys(Role.REMEDIATIONS))
    signer(office).adopt(*back.contents(), NOW)
    assert kept(office) == []


def swapped(folder: Folder) -> None:
    next(iter(folder.payloads().values())).write_bytes(CONTENT.replace(b"d", b"e"))


def missing(folder: Folder) -> None:
    next(iter(folder.payloads().values())).unlink()


def unnamed(folder: Folder) -> None:
    """The list names one payload more than the recipes need."""
    files = folder._files("next", Role.REMEDIATIONS)
    listed = make_papers(9, files, Role.REMEDIATIONS, NOW, [PAYLOAD, Payload("0" * 64, 3)])
    folder.put(Role.REMEDIATIONS, signed_by(listed, []))


SPOILED = [
    pytest.param(swapped, "not those that were signed", id="the payload was swapped"),
    pytest.param(missing, "name its file when packing", id="the payload is missing"),
    pytest.param(unnamed, "other payloads than its recipes need", id="a payload that no recipe names"),
]


@pytest.mark.parametrize(("spoil", "said"), SPOILED)
def test_a_folder_with_another_payload_is_not_signed(
    office: Office, folder: Folder, spoil: Callable[[Folder], None], said: str
) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=said):
        folder.sign(office.keys(Role.REMEDIATIONS))


ODD = [
    pytest.param(approval(recipe=None), "odd-recipe", id="a recipe's update without one"),
    pytest.param(
        approval(recipe=msgspec.structs.replace(PUT, mode=0o4755)), "mode 4755", id="what no machine may do"
    ),
    pytest.param(approval_for(order(), recipe=PUT), "odd-recipe", id="a recipe for a package"),
]


@pytest.mark.parametrize(("paper", "said"), ODD)
def test_an_approval_with_an_odd_recipe_is_neither_signed_nor_adopted(
    office: Office, tmp_path: Path, file: Path, paper: RemediationDocument, said: str
) -> None:
    made = Folder(tmp_path / "odd")
    made.pack(office.repository)
    made.propose([paper], [], NOW, [file])
    with pytest.raises(InputError, match=said):
        made.sign(office.keys(Role.REMEDIATIONS))
    path = remediation_path(f"{paper.release}/{paper.source}/{paper.version}")
    version = version_of(office.repository.newest(Role.REMEDIATIONS)) + 1
    listed = make_papers(version, {path: write(paper)}, Role.REMEDIATIONS, NOW)
    metadata = {Role.REMEDIATIONS: signed_by(listed, office.keys(Role.REMEDIATIONS))}
    with pytest.raises(InputError, match=said):
        signer(office).adopt(metadata, {path: write(paper)}, NOW)


def test_a_signed_list_that_names_a_payload_of_no_recipe_is_not_adopted(office: Office) -> None:
    version = version_of(office.repository.newest(Role.REMEDIATIONS)) + 1
    listed = make_papers(version, {}, Role.REMEDIATIONS, NOW, [PAYLOAD])
    metadata = {Role.REMEDIATIONS: signed_by(listed, office.keys(Role.REMEDIATIONS))}
    with pytest.raises(InputError, match="other payloads than its recipes need"):
        signer(office).adopt(metadata, {}, NOW)


# -- the signer's socket --------------------------------------------------------------------------------------


@pytest.fixture
def socket_path(office: Office) -> Iterator[Path]:
    path, stop = office.folder / "online/signer.sock", threading.Event()
    thread = threading.Thread(target=channel.serve, args=(path, signer(office), lambda: NOW, stop.is_set))
    thread.start()
    while not path.is_socket() or not (path.stat().st_mode & 0o040):
        pass
    yield path
    stop.set()
    thread.join()


def test_a_payload_reaches_the_signer_as_an_open_file(
    office: Office, folder: Folder, socket_path: Path
) -> None:
    """The signer needs no right to the folder, and copies only what people signed."""
    folder.sign(office.keys(Role.REMEDIATIONS))
    request = Adopt(*folder.contents(), (PAYLOAD.sha256,))
    with next(iter(folder.payloads().values())).open("rb") as source:
        source.seek(0)
        channel.ask(socket_path, request, [source])
    assert kept(office) == [CONTENT]


FORGED = [
    pytest.param(lambda path: path.write_bytes(CONTENT[:-1]), "not those that were signed", id="cut short"),
    pytest.param(lambda path: path.write_bytes(CONTENT + b"x"), "longer than", id="too long"),
    pytest.param(lambda path: path.write_bytes(CONTENT[:-1] + b"x"), "not those", id="one byte of it"),
]


@pytest.mark.parametrize(("forge", "said"), FORGED)
def test_another_payload_than_the_signed_one_leaves_nothing_behind(
    office: Office,
    folder: Folder,
    file: Path,
    socket_path: Path,
    forge: Callable[[Path], object],
    said: str,
) -> None:
    folder.sign(office.keys(Role.REMEDIATIONS))
    before, request = (
        office.repository.newest(Role.REMEDIATIONS),
        Adopt(*folder.contents(), (PAYLOAD.sha256,)),
    )
    forge(file)
    with file.open("rb") as source, pytest.raises(SignerError, match=said):
        channel.ask(socket_path, request, [source])
    with pytest.raises(SignerError, match="not in the folder"):
        channel.ask(socket_path, Adopt(*folder.contents()))
    assert (kept(office), office.repository.newest(Role.REMEDIATIONS)) == ([], before)


def test_what_comes_instead_of_a_file_is_refused(office: Office, folder: Folder, socket_path: Path) -> None:
    """A pipe would hold the signer for ever."""
    folder.sign(office.keys(Role.REMEDIATIONS))
    request = Adopt(*folder.contents(), (PAYLOAD.sha256,))
    with Path("/dev/zero").open("rb") as source, pytest.raises(SignerError, match="a payload is no file"):
        channel.ask(socket_path, request, [source])


# -- the agent's side -----------------------------------------------------------------------------------------

Trusting = Callable[..., Trust]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "payload"


def fetched(trust: Trust, place: Path, payload: Payload = PAYLOAD) -> Refusal | None:
    return trust.fetch(payload, lambda chunks: keep(place, payload, chunks, 0o500), NOW)


def test_a_payload_is_streamed_and_kept(
    office: Office, folder: Folder, shelf: Shelf, trusting: Trusting, place: Path
) -> None:
    adopted(office, folder)
    assert fetched(trusting(shelf.url), place) is None
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (CONTENT, 0o500)


def test_a_connection_that_breaks_off_is_taken_up_again(
    office: Office, folder: Folder, shelf: Shelf, trusting: Trusting, place: Path
) -> None:
    """Nobody fetches gigabytes twice."""
    adopted(office, folder)
    trust = trusting(shelf.url)
    assert trust.refresh(NOW, 0)
    shelf.cut_at = 100_000
    assert fetched(trust, place) is None
    assert place.read_bytes() == CONTENT
    assert shelf.ranges[:2] == ["bytes=100000-", "bytes=200000-"]


HOSTILE = [
    pytest.param(lambda shelf, name: shelf.hidden.add(name), Reason.MISSING, id="it has none"),
    pytest.param(
        lambda shelf, name: shelf.forged.update({name: CONTENT[:-1] + b"x"}), Reason.ALTERED, id="another one"
    ),
    pytest.param(
        lambda shelf, name: shelf.forged.update({name: CONTENT * 9}), Reason.ALTERED, id="one without end"
    ),
    pytest.param(
        lambda shelf, name: shelf.forged.update({name: CONTENT[:-1]}), Reason.UNREACHABLE, id="one too short"
    ),
]


@pytest.mark.parametrize(("spoil", "reason"), HOSTILE)
def test_a_hostile_mirror_costs_one_fall_back(
    office: Office,
    folder: Folder,
    shelf: Shelf,
    trusting: Trusting,
    place: Path,
    spoil: Callable[[Shelf, str], None],
    reason: Reason,
) -> None:
    """R20."""
    adopted(office, folder)
    name = f"targets/payloads/{PAYLOAD.sha256}.{PAYLOAD.sha256}"
    with served(Shelf(office.repository.directory)) as mirror:
        spoil(mirror, name)
        trust = trusting(mirror.url, shelf.url)
        assert fetched(trust, place) is None
    assert place.read_bytes() == CONTENT
    assert [refusal.reason for refusal in trust.refusals] == [reason]
    assert list(place.parent.glob(".*partial")) == []


@pytest.mark.parametrize(("spoil", "reason"), HOSTILE)
def test_what_nobody_serves_rightly_is_not_kept(
    office: Office,
    folder: Folder,
    shelf: Shelf,
    trusting: Trusting,
    place: Path,
    spoil: Callable[[Shelf, str], None],
    reason: Reason,
) -> None:
    adopted(office, folder)
    spoil(shelf, f"targets/payloads/{PAYLOAD.sha256}.{PAYLOAD.sha256}")
    refused = fetched(trusting(shelf.url), place)
    assert isinstance(refused, Refusal)
    assert refused.reason is reason
    assert not place.exists()


def test_a_payload_that_no_list_names_is_not_asked_for(
    office: Office, folder: Folder, shelf: Shelf, trusting: Trusting, place: Path
) -> None:
    adopted(office, folder)
    refused = fetched(trusting(shelf.url), place, Payload("1" * 64, 5))
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.NOT_NAMED
    assert not any("payloads" in path for path in shelf.asked)


def test_recipe_and_list_must_name_the_same_payload(
    office: Office, folder: Folder, shelf: Shelf, trusting: Trusting, place: Path
) -> None:
    adopted(office, folder)
    refused = fetched(trusting(shelf.url), place, Payload(PAYLOAD.sha256, 5))
    assert isinstance(refused, Refusal)
    assert "another payload than the recipe" in refused.detail


def test_the_server_serves_payloads_and_no_other_name(office: Office, folder: Folder) -> None:
    adopted(office, folder)
    with serving(Starlette(routes=trust_routes(office.repository)), "127.0.0.1", 0) as url:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
        name = f"{PAYLOAD.sha256}.{PAYLOAD.sha256}"
        for path, status in ((name, 200), (PAYLOAD.sha256, 404), (f".{name}.partial", 404)):
            connection.request("GET", f"/trust/targets/payloads/{path}")
            response = connection.getresponse()
            assert (response.status, response.read() == CONTENT) == (status, status == 200)
        connection.close()


def test_a_recipe_without_a_payload_needs_none(office: Office, tmp_path: Path) -> None:
    made = Folder(tmp_path / "setting")
    made.pack(office.repository)
    made.propose([approval(recipe=SetKernelMessage("net.ipv4.tcp_syncookies", "1"))], [], NOW)
    made.sign(office.keys(Role.REMEDIATIONS))
    signer(office).adopt(*made.contents(), NOW)
    assert signer(office).publish([ORDER], NOW).refused == ()
