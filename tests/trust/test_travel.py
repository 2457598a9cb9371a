"""What people sign offline: a folder travels, each holder sees what he signs, too few signatures change nothing."""

from pathlib import Path

import pytest
from laboratory.office import PASSPHRASE, Office, approval_for, declaration_for

from forestall.domain.errors import InputError
from forestall.trust.keys import load_key, load_keys, make_key, passphrase_in
from forestall.trust.roles import COMPANY, ONLINE, Role
from forestall.trust.rotation import rotate
from forestall.trust.signer import Signer
from forestall.trust.standing import standing
from forestall.trust.travel import Folder
from trust.papers import HOUR, NOW, ORDER, order
from trust.test_signer import signer

OTHER = order(campaign="curl-1", source="curl", version="7.88.1-10+deb12u14")
UPDATE = "bookworm/curl/7.88.1-10+deb12u14"


@pytest.fixture
def company(tmp_path: Path) -> Office:
    """A whole company: three keys where two are needed."""
    return Office(tmp_path / "whole", NOW, COMPANY)


@pytest.fixture
def folder(company: Office, tmp_path: Path) -> Folder:
    """A folder that asks for an approval."""
    made = Folder(tmp_path / "stick")
    made.pack(company.repository)
    made.propose([approval_for(OTHER)], [], NOW)
    return made


def test_two_of_three_holders_approve_and_the_third_is_not_needed(company: Office, folder: Folder) -> None:
    first, second, third = company.keys(Role.REMEDIATIONS)
    made = signer(company)
    assert "not-approved" in made.publish([OTHER], NOW).refused[0].why
    (asked,) = folder.asked()
    assert (asked.role, asked.missing) == (Role.REMEDIATIONS, 2)
    assert UPDATE in asked.changes[0]
    folder.sign([first])
    with pytest.raises(InputError, match="1 more of its keys must sign"):
        made.adopt(*folder.contents(), NOW)
    folder.sign([second])
    assert folder.asked()[0].missing == 0
    made.adopt(*folder.contents(), NOW)
    assert made.publish([OTHER], NOW).refused == ()
    assert third.public_key.keyid not in folder.newest(Role.REMEDIATIONS).decode()


def test_a_folder_that_is_none_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no travelling folder"):
        Folder(tmp_path).asked()


def test_one_holder_cannot_sign_twice(company: Office, folder: Folder) -> None:
    first = company.keys(Role.REMEDIATIONS)[0]
    assert len(folder.sign([first, first])) == 1
    assert folder.sign([first]) == []
    assert folder.asked()[0].missing == 1


def test_keys_of_another_role_sign_nothing(company: Office, folder: Folder) -> None:
    wrong = [*company.keys(Role.IMMINENT), *company.keys(Role.ROOT), *company.keys(Role.ORDERS)]
    assert folder.sign(wrong) == []


def test_an_imminent_threat_needs_its_own_two(company: Office, tmp_path: Path) -> None:
    """A9."""
    folder = Folder(tmp_path / "threat")
    folder.pack(company.repository)
    folder.propose([declaration_for(OTHER, NOW)], [], NOW)
    folder.sign(company.keys(Role.REMEDIATIONS))
    assert [(each.role, each.missing) for each in folder.asked()] == [(Role.IMMINENT, 2)]
    folder.sign(company.keys(Role.IMMINENT)[1:])
    signer(company).adopt(*folder.contents(), NOW)


def paper(folder: Folder) -> Path:
    return folder.path / "next/files/remediations" / f"{UPDATE}.json"


def swapped(folder: Folder) -> None:
    paper(folder).write_bytes(paper(folder).read_bytes().replace(b"curl", b"evil"))


def missing(folder: Folder) -> None:
    paper(folder).unlink()


def escaping(folder: Folder) -> None:
    listed = folder.path / "next/remediations.json"
    listed.write_bytes(listed.read_bytes().replace(b"remediations/bookworm", b"../../../bookworm"))


SPOILED = [
    pytest.param(swapped, "not the file that the folder names", id="a paper was swapped"),
    pytest.param(missing, "not the file that the folder names", id="a paper is missing"),
    pytest.param(escaping, "names a file outside itself", id="a name leads out of the folder"),
]


@pytest.mark.parametrize(("spoil", "said"), SPOILED)
def test_a_spoiled_folder_is_not_signed(company: Office, folder: Folder, spoil: object, said: str) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=said):
        folder.sign(company.keys(Role.REMEDIATIONS))


def test_a_paper_swapped_after_signing_is_not_adopted(company: Office, folder: Folder) -> None:
    folder.sign(company.keys(Role.REMEDIATIONS))
    metadata, files = folder.contents()
    forged = {path: content.replace(b"curl", b"evil") for path, content in files.items()}
    with pytest.raises(InputError, match="not the file that was signed"):
        signer(company).adopt(metadata, forged, NOW)
    with pytest.raises(InputError, match="not in the folder"):
        signer(company).adopt(metadata, {}, NOW)


def test_a_file_that_nobody_signed_is_not_taken_along(company: Office, folder: Folder) -> None:
    folder.sign(company.keys(Role.REMEDIATIONS))
    metadata, files = folder.contents()
    signer(company).adopt(metadata, {**files, "../../offline/evil.json": b"{}"}, NOW)
    assert list(company.folder.rglob("*evil*")) == []


def test_what_was_adopted_already_is_not_adopted_again(company: Office, folder: Folder) -> None:
    folder.sign(company.keys(Role.REMEDIATIONS))
    signer(company).adopt(*folder.contents(), NOW)
    with pytest.raises(InputError, match="does not follow"):
        signer(company).adopt(*folder.contents(), NOW)


def test_an_approval_is_taken_back(company: Office, folder: Folder, tmp_path: Path) -> None:
    """A7."""
    folder.sign(company.keys(Role.REMEDIATIONS))
    made = signer(company)
    made.adopt(*folder.contents(), NOW)
    assert made.publish([OTHER], NOW).orders == 1
    back = Folder(tmp_path / "back")
    back.pack(company.repository)
    back.propose([], [f"remediations/{UPDATE}.json"], NOW)
    assert back.asked()[0].changes == (f"taken back: remediations/{UPDATE}.json",)
    back.sign(company.keys(Role.REMEDIATIONS))
    made.adopt(*back.contents(), NOW)
    assert made.publish([OTHER], NOW).orders == 0


@pytest.mark.parametrize("role", [Role.REMEDIATIONS, Role.IMMINENT, Role.ROOT])
def test_a_lost_key_is_replaced_and_no_longer_counts(company: Office, tmp_path: Path, role: Role) -> None:
    old = company.keys(role)
    lost, kept = old[0], old[1:]
    new = make_key(tmp_path / "new.pem", PASSPHRASE)
    folder = Folder(tmp_path / "rotation")
    folder.pack(company.repository)
    rotate(folder, role, lost.public_key.keyid[:12], new.public_key, NOW)
    folder.sign([*company.keys(Role.ROOT), *kept])
    assert [each.missing for each in folder.asked()] == [0] * len(folder.asked())
    signer(company).adopt(*folder.contents(), NOW)
    holders = {each.role: each.keys for each in standing(company.repository, NOW).roles}
    assert set(holders[role]) == {key.public_key.keyid for key in [*kept, new]}
    if role is Role.ROOT:
        return
    asking = Folder(tmp_path / "asking")
    asking.pack(company.repository)
    asking.propose(
        [approval_for(OTHER) if role is Role.REMEDIATIONS else declaration_for(OTHER, NOW)], [], NOW
    )
    assert asking.sign([lost]) == []
    assert len(asking.sign([new])) == 1


def test_a_stolen_online_key_is_replaced_once_the_signer_holds_the_new_one(
    company: Office, tmp_path: Path
) -> None:
    new = make_key(company.folder / "online/orders-2.pem", PASSPHRASE)
    folder = Folder(tmp_path / "rotation")
    folder.pack(company.repository)
    (old,) = [key for key in company.keys(Role.ORDERS) if key.public_key.keyid != new.public_key.keyid]
    rotate(folder, Role.ORDERS, old.public_key.keyid, new.public_key, NOW)
    folder.sign(company.keys(Role.ROOT))
    others = [key for role in ONLINE for key in company.keys(role)]
    before = [key for key in others if key.public_key.keyid != new.public_key.keyid]
    caps = signer(company).caps
    with pytest.raises(InputError, match="does not hold the key of orders"):
        Signer(company.folder / "online", company.repository, before, caps).adopt(*folder.contents(), NOW)
    restarted = Signer(company.folder / "online", company.repository, others, caps)
    restarted.adopt(*folder.contents(), NOW)
    restarted.publish([], NOW + HOUR)


def test_a_key_that_nobody_holds_cannot_be_replaced(company: Office, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "rotation")
    folder.pack(company.repository)
    new = make_key(tmp_path / "new.pem", PASSPHRASE)
    with pytest.raises(InputError, match="0 keys of root begin with"):
        rotate(folder, Role.ROOT, "zz", new.public_key, NOW)


def test_keys_lie_encrypted_for_their_owner_alone_and_are_never_overwritten(tmp_path: Path) -> None:
    """R37."""
    path = tmp_path / "keys/root-1.pem"
    made = make_key(path, PASSPHRASE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    assert load_key(path, lambda _: PASSPHRASE).public_key == made.public_key
    with pytest.raises(InputError, match="never overwritten"):
        make_key(path, PASSPHRASE)
    with pytest.raises(InputError, match="wrong passphrase"):
        load_key(path, lambda _: b"something else entirely")
    with pytest.raises(InputError, match="too short"):
        make_key(tmp_path / "short.pem", b"short")
    with pytest.raises(InputError, match="no key file"):
        load_keys([tmp_path], lambda _: PASSPHRASE)
    (tmp_path / "word").write_bytes(PASSPHRASE + b"\nanother line\n")
    assert passphrase_in(tmp_path / "word")("any") == PASSPHRASE


def test_a_second_ceremony_in_the_same_place_is_refused(company: Office) -> None:
    with pytest.raises(InputError, match="not empty"):
        Office(company.folder, NOW)


def test_how_the_keys_stand(company: Office) -> None:
    found = standing(company.repository, NOW + HOUR)
    assert not found.development
    assert [(each.role, each.threshold, len(each.keys)) for each in found.roles] == [
        (Role.ROOT, 2, 3), (Role.TARGETS, 2, 3), (Role.REMEDIATIONS, 2, 3), (Role.IMMINENT, 2, 3),
        (Role.ORDERS, 1, 1), (Role.SNAPSHOT, 1, 1), (Role.TIMESTAMP, 1, 1),
    ]  # fmt: skip
    assert found.roles[-1].left == 23 * HOUR
    assert ORDER.campaign
