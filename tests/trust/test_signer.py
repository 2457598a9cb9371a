"""The signer believes nobody: it signs within approvals and its own caps, and never backwards."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from laboratory.office import AT_ONCE, PASSPHRASE, Office, approval_for, declaration_for

from forestall.domain.errors import InputError, SignerError
from forestall.trust import channel
from forestall.trust.caps import Caps, load_caps, write_caps
from forestall.trust.channel import Adopt, Publish
from forestall.trust.documents import OrderDocument, WaveMessage, read, write
from forestall.trust.keys import make_key
from forestall.trust.metadata import version_of
from forestall.trust.recipe import PayloadMessage, RecipeMessage, UpdateAgentMessage
from forestall.trust.roles import ONLINE, Role
from forestall.trust.signer import Published, Signer
from trust.papers import HOUR, NOW, ORDER, PATH, approve, order

SLOW = (WaveMessage(0.1, 0), WaveMessage(1.0, 7_200))


ALL = Caps(1_000, 1_000)


def signer(office: Office, caps: Caps = ALL) -> Signer:
    folder = office.folder / "online"
    return Signer(folder, office.repository, [key for role in ONLINE for key in office.keys(role)], caps)


def signed(office: Office) -> dict[str, OrderDocument]:
    files = office.repository.files_of(office.repository.newest(Role.ORDERS))
    found = {path: read(content, OrderDocument) for path, content in files.items()}
    return {path: paper for path, paper in found.items() if isinstance(paper, OrderDocument)}


def why(published: Published) -> str:
    (refused,) = published.refused
    return refused.why


def test_an_approved_order_is_signed_for_a_day_whatever_end_was_asked_for(office: Office) -> None:
    published = signer(office).publish([order(revision=2, expires_at=NOW + 9_000 * HOUR)], NOW)
    assert (published.orders, published.refused) == (1, ())
    assert signed(office)[PATH].expires_at == NOW + 24 * HOUR


REFUSED = [
    pytest.param({"version": "3.0.9-1"}, "not-approved", id="a version that nobody approved"),
    pytest.param({"source": "evil"}, "not-approved", id="a package that nobody approved"),
    pytest.param({"source": "-oAPT"}, "odd-name", id="a package that is an option"),
    pytest.param({"campaign": "../root"}, "odd-name", id="a campaign that is a path"),
    pytest.param({"version": "1 2"}, "odd-name", id="a version with a blank"),
    pytest.param({"product": "windows"}, "odd-name", id="a product that we do not know"),
    pytest.param({"verb": "run"}, "unknown-verb", id="a verb that nobody knows"),
    pytest.param({"rings": (WaveMessage(0.5, 0),)}, "no-waves", id="waves that never reach everybody"),
    pytest.param({"deadline_at": NOW.replace(tzinfo=None)}, "no-zone", id="an instant without a time zone"),
    pytest.param({"deadline_at": NOW - 99 * HOUR}, "backwards", id="a deadline before its offer"),
]


@pytest.mark.parametrize(("changed", "reason"), REFUSED)
def test_what_is_not_within_its_approval_is_not_signed_and_the_others_are(
    office: Office, changed: dict[str, object], reason: str
) -> None:
    published = signer(office).publish([order(**{"campaign": "other-1", **changed}), ORDER], NOW)
    assert why(published) == reason
    assert list(signed(office)) == [PATH]


AN_AGENT = {"product": "recipe", "release": "any", "source": "forestall-agent", "version": "2.0"}
AN_UPDATE = UpdateAgentMessage(PayloadMessage("0" * 64, 10), "cpython-311-x86_64-linux-gnu")
WAYS = [pytest.param({}, None, id="packages"), pytest.param(AN_AGENT, AN_UPDATE, id="the agent itself")]


@pytest.mark.parametrize(("what", "recipe"), WAYS)
def test_nothing_is_taken_back_below_what_is_ordered_elsewhere(
    office: Office, what: dict[str, object], recipe: RecipeMessage | None
) -> None:
    """A7: the signer holds a way back against all other orders, whatever the server thinks."""
    mine = order(**what)
    undo = order(**what, campaign="u-1", verb="undo")
    later = msgspec.structs.replace(mine, campaign="l-1", version=f"{mine.version}.1")
    other = msgspec.structs.replace(mine, campaign="o-1", source="other")
    approvals = [approval_for(undo, back_to="1.0"), approval_for(later), approval_for(other)]
    office.sign([], [msgspec.structs.replace(each, recipe=recipe) for each in approvals], NOW)
    assert signer(office).publish([undo, other], NOW).refused == ()
    assert why(signer(office).publish([undo, other, later], NOW)).startswith("undercuts: ")
    assert why(signer(office).publish([undo, mine], NOW)) == "not-approved"


def test_a_deadline_moves_forward_only_with_an_imminent_threat(office: Office) -> None:
    """P8.1, A9."""
    made = signer(office)
    made.publish([ORDER], NOW)
    earlier = order(deadline_at=NOW + HOUR, revision=2)
    assert why(made.publish([earlier], NOW)).startswith("earlier-deadline")
    office.sign([ORDER], [approve(ORDER)], NOW, [declaration_for(ORDER, NOW)])
    assert made.publish([earlier], NOW).refused == ()


def test_a_revision_never_goes_back_even_after_a_restart(office: Office) -> None:
    signer(office).publish([order(revision=3)], NOW)
    assert why(signer(office).publish([order(revision=2)], NOW)) == "old-revision"


def test_one_campaign_has_one_order(office: Office) -> None:
    assert why(signer(office).publish([ORDER, order(revision=2)], NOW)) == "named twice"


def test_what_did_not_change_is_not_signed_again_until_a_quarter_of_its_day_is_over(office: Office) -> None:
    made = signer(office)
    first = made.publish([ORDER], NOW).version
    assert made.publish([ORDER], NOW + 5 * HOUR).version == first
    assert made.publish([ORDER], NOW + 6 * HOUR).version == first + 1
    assert signed(office)[PATH].expires_at == NOW + 30 * HOUR


def test_an_order_that_is_no_longer_asked_for_is_taken_back(office: Office) -> None:
    """A7."""
    made = signer(office)
    made.publish([ORDER], NOW)
    made.publish([], NOW)
    assert signed(office) == {}


CAPS = [
    pytest.param(
        Caps(1_000, 1_000), AT_ONCE, 2, [], id="two campaigns force everybody at once, everybody may be"
    ),
    pytest.param(Caps(1_000, 999), AT_ONCE, 1, ["would force 1000 machines"], id="one machine too many"),
    pytest.param(Caps(1_000, 900), SLOW, 1, [], id="waves an hour apart are counted apart"),
    pytest.param(Caps(1_000, 899), SLOW, 1, ["would force 900 machines"], id="the second wave is too big"),
    pytest.param(
        Caps(1_000, 950), SLOW, 2, ["would force 990 machines"], id="the second campaign is too much"
    ),
    pytest.param(Caps(1_000, 1_000, 1), AT_ONCE, 2, ["campaigns-an-hour"], id="one campaign an hour"),
]


@pytest.mark.parametrize(("caps", "rings", "campaigns", "reasons"), CAPS)
def test_the_signers_own_caps(
    tmp_path: Path, caps: Caps, rings: Sequence[WaveMessage], campaigns: int, reasons: list[str]
) -> None:
    """A8, R6."""
    office = Office(tmp_path / "company", NOW)
    papers = [order(campaign=f"c-{n}", version=f"{n}.0", rings=tuple(rings)) for n in range(campaigns)]
    office.sign([], [approval_for(each) for each in papers], NOW)
    found = [each.why for each in signer(office, caps).publish(papers, NOW).refused]
    assert len(found) == len(reasons)
    assert all(part in text for part, text in zip(reasons, found, strict=True))


def test_the_cap_holds_over_restarts_and_goes_by_the_hour(office: Office) -> None:
    caps = Caps(1_000, 1_000, 1)
    signer(office, caps).publish([ORDER], NOW)
    again = order(campaign="openssl-2")
    assert why(signer(office, caps).publish([ORDER, again], NOW + HOUR / 2)).startswith("campaigns-an-hour")
    assert signer(office, caps).publish([ORDER, again], NOW + HOUR).refused == ()


def test_approvals_that_ran_out_allow_nothing(office: Office) -> None:
    later = NOW + timedelta(days=181)
    assert why(signer(office).publish([order(deadline_at=later)], later)) == "not-approved"


def test_the_signer_signs_nothing_without_its_caps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="signs nothing without"):
        load_caps(tmp_path)
    (tmp_path / "caps.toml").write_text("machines = 0\n")
    with pytest.raises(InputError, match=r"caps\.toml"):
        load_caps(tmp_path)
    write_caps(tmp_path, Caps(5, 4, 3))
    assert load_caps(tmp_path) == Caps(5, 4, 3)


def test_old_files_go_and_what_agents_may_still_ask_for_stays(office: Office) -> None:
    made = signer(office)
    for number in range(40):
        made.publish([order(revision=number)], NOW)
    folder = office.repository.directory
    versions = sorted(version_of(path.read_bytes()) for path in folder.glob("metadata/*.orders.json"))
    assert versions == list(range(versions[-1] - 15, versions[-1] + 1))
    assert len(list(folder.glob("targets/orders/*"))) == 16
    assert (folder / "metadata/1.root.json").exists()


@pytest.fixture
def listening(office: Office) -> "Callable[[bytes | Publish | Adopt], object]":
    """A signer that answers at a socket, in a thread."""
    import threading

    path = office.folder / "online" / "signer.sock"
    stop = threading.Event()
    thread = threading.Thread(target=channel.serve, args=(path, signer(office), lambda: NOW, stop.is_set))
    thread.start()
    until_it_listens(path)

    def ask(request: bytes | Publish | Adopt) -> object:
        return _raw(path, request) if isinstance(request, bytes) else channel.ask(path, request)

    yield ask
    stop.set()
    thread.join()


def until_it_listens(path: Path) -> None:
    while True:
        try:
            return _raw(path, b"")
        except OSError:
            continue


def _raw(path: Path, content: bytes) -> bytes:
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


BAD = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"\xff\xfe", id="no text"),
    pytest.param(b'{"type": "sign", "what": "anything"}', id="a request that does not exist"),
    pytest.param(b"[" * 100_000, id="nesting without end"),
]


@pytest.mark.parametrize("content", BAD)
def test_a_request_that_is_none_is_answered_and_the_next_one_served(
    listening: Callable[[object], object], content: bytes
) -> None:
    assert b"not a request" in listening(content)
    published = listening(Publish((ORDER,)))
    assert isinstance(published, Published)
    assert published.orders == 1


def test_what_the_signer_refuses_is_a_sentence(listening: Callable[[object], object], office: Office) -> None:
    with pytest.raises(SignerError, match="orders is signed by the signer itself"):
        listening(Adopt({Role.ORDERS: office.repository.newest(Role.ORDERS)}, {}))


def test_without_a_signer_it_is_said_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(SignerError, match="forestall signer"):
        channel.ask(tmp_path / "none.sock", Publish(()))


def test_a_signer_without_the_key_in_force_says_so(office: Office, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger.pem", PASSPHRASE)
    made = Signer(office.folder / "online", office.repository, [stranger], Caps(1, 1))
    with pytest.raises(InputError, match="does not hold the key of orders"):
        made.publish([], NOW + 7 * HOUR)


def test_a_paper_reads_back_as_it_was_written() -> None:
    assert read(write(ORDER), OrderDocument) == ORDER
    assert msgspec.json.decode(write(ORDER))["campaign"] == "openssl-1"
