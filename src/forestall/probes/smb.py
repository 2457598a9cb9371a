"""SMB: dialects and signing, and whether the named pipes of SMB 1 answer as before MS17-010 (CVE-2017-0143)."""

import struct

from forestall.domain.evidence import Status
from forestall.probes.answer import Answer, Ask, Ended, Heard, printable, unknown

_SMB1, _SMB2 = b"\xffSMB", b"\xfeSMB"
_DIALECTS = (0x0202, 0x0210, 0x0300, 0x0302)
_NEGOTIATE, _SESSION, _TREE, _TRANSACTION = 0x72, 0x73, 0x75, 0x25
_NO_ACCESS = 0xC0000022
_BAD_HANDLE = 0xC0000008
_NO_RESOURCES = 0xC0000205
_HEADER = struct.Struct("<4sBIBHH8sHHHHH")
"""SMB 1: protocol, command, status, flags, flags 2, process (high), security, reserved, tree, process, user, number."""


def dialects(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Ask which dialects a server speaks, and whether it insists on signing."""
    if not heard:
        return Ask(_smb2_negotiate(), _is_whole, fresh=True)
    if len(heard) == 1:
        return Ask(_smb1_negotiate(), _is_whole, fresh=True)
    newer, older = _message(heard[0].data), _message(heard[1].data)
    spoken = list[str]()
    if newer.startswith(_SMB2) and len(newer) >= 70 and not _status2(newer):
        chosen = int.from_bytes(newer[68:70], "little")
        signing = "required" if newer[66] & 2 else "not required"
        spoken.append(f"SMB {chosen >> 8}.{chosen >> 4 & 15}.{chosen & 15}, signing {signing}")
    if _speaks_smb1(older):
        spoken.append("SMB 1 is on")
    if not spoken:
        return unknown("what listens there speaks no dialect of SMB that was asked for", heard[0].data[:40])
    return Answer(Status.UNKNOWN, "; ".join(spoken), printable(newer[64:72]))


def named_pipe(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Peek at a pipe that does not exist, as a guest: before MS17-010 the server runs out of resources."""
    if not heard:
        return Ask(_smb1_negotiate(), _is_whole)
    first, said = _message(heard[0].data), _message(heard[-1].data)
    if not _speaks_smb1(first):
        return _without_smb1(heard)
    if len(heard) == 1:
        return Ask(_smb1_session(), _is_whole)
    if len(heard) == 4:
        return _judge_pipe(said)
    if not _went_well(said):
        return unknown(f"the server lets no guest in ({_status_text(said)})", said[:32])
    tree, user = _ids(said)
    return Ask(_smb1_tree(user) if len(heard) == 2 else _smb1_peek(tree, user), _is_whole)


def _without_smb1(heard: tuple[Heard, ...]) -> Ask | Answer:
    """Tell a server that refuses SMB 1, or hangs up on it as Windows does, from what is no SMB server."""
    said = _message(heard[-1].data)
    if said:
        return Answer(Status.NOT_AFFECTED, "SMB 1, where the flaw is, is off", printable(said[:32]))
    if len(heard) == 1 and heard[0].ended is Ended.CLOSED and not heard[0].data:
        return Ask(_smb2_negotiate(), _is_whole, fresh=True)
    return unknown("what listens there does not speak SMB", heard[0].data[:40])


def _judge_pipe(said: bytes) -> Answer:
    code, proof = _status1(said), printable(said[:32])
    if code == _NO_RESOURCES:
        return Answer(Status.AFFECTED, "the pipe answers as before MS17-010: no resources", proof)
    if code in {_BAD_HANDLE, _NO_ACCESS}:
        return Answer(Status.FIXED, f"the pipe answers as after MS17-010: {_status_text(said)}", proof)
    return unknown(f"the pipe answers in a way of its own ({_status_text(said)})", said[:32])


def _message(data: bytes) -> bytes:
    """Take the first message out of its NetBIOS session packet; empty where it is no SMB message."""
    if len(data) < 4 or data[0]:
        return b""
    message = data[4 : 4 + int.from_bytes(data[1:4])]
    return message if message.startswith((_SMB1, _SMB2)) and len(message) >= 32 else b""


def _is_whole(data: bytes) -> bool:
    return len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[1:4])


def _status1(message: bytes) -> int | None:
    return int.from_bytes(message[5:9], "little") if message.startswith(_SMB1) else None


def _status2(message: bytes) -> int:
    return int.from_bytes(message[8:12], "little")


def _status_text(message: bytes) -> str:
    code = _status1(message)
    return "no answer" if code is None else f"{code:#010x}"


def _went_well(message: bytes) -> bool:
    return _status1(message) == 0


def _speaks_smb1(message: bytes) -> bool:
    """Say whether the first dialect was taken; 0xFFFF is "none of them"."""
    return _went_well(message) and len(message) > 35 and message[32] > 1 and message[33:35] == b"\x00\x00"


def _ids(message: bytes) -> tuple[int, int]:
    """Read the numbers the server gave: of the tree and of the user."""
    return int.from_bytes(message[24:26], "little"), int.from_bytes(message[28:30], "little")


def _packet(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


def _smb1(command: int, words: bytes, content: bytes, tree: int = 0, user: int = 0) -> bytes:
    header = _HEADER.pack(_SMB1, command, 0, 0x18, 0xC001, 0, bytes(8), 0, tree, 0x4653, user, 1)
    body = struct.pack("<B", len(words) // 2) + words + struct.pack("<H", len(content)) + content
    return _packet(header + body)


def _smb1_negotiate() -> bytes:
    return _smb1(_NEGOTIATE, b"", b"\x02NT LM 0.12\x00")


def _smb1_session() -> bytes:
    """Log on as nobody: no name, no password."""
    words = struct.pack("<BBHHHHIHHII", 0xFF, 0, 0, 0x1104, 10, 0, 0, 1, 0, 0, 0x54)
    names = "".join(f"{name}\0" for name in ("", "", "forestall", "forestall"))
    # One byte of password; it also makes the names begin at an even place.
    return _smb1(_SESSION, words, b"\x00" + names.encode("utf-16-le"))


def _smb1_tree(user: int) -> bytes:
    words = struct.pack("<BBHHH", 0xFF, 0, 0, 8, 1)
    content = b"\x00" + "\\\\127.0.0.1\\IPC$\0".encode("utf-16-le") + b"?????\x00"
    return _smb1(_TREE, words, content, user=user)


def _smb1_peek(tree: int, user: int) -> bytes:
    r"""Make the transaction PeekNamedPipe on the handle 0 (MS-CIFS 2.2.5.5)."""
    content = b"\x00" + "\\PIPE\\\0".encode("utf-16-le")
    end = _HEADER.size + 35 + len(content)
    counts = (0, 0, 0xFFFF, 0xFFFF, 0, 0, 0, 0, 0, 0, end, 0, end)
    words = struct.pack("<HHHHBBHIHHHHHBBHH", *counts, 2, 0, 0x23, 0)
    return _smb1(_TRANSACTION, words, content, tree, user)


def _smb2_negotiate() -> bytes:
    header = struct.pack("<4sHHIHHIIQIIQ16s", _SMB2, 64, 0, 0, 0, 1, 0, 0, 0, 0xFEFF, 0, 0, bytes(16))
    body = struct.pack("<HHHHI16sQ", 36, len(_DIALECTS), 1, 0, 0, b"forestall".ljust(16, b"."), 0)
    return _packet(header + body + struct.pack(f"<{len(_DIALECTS)}H", *_DIALECTS))
