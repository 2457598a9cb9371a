"""SNMP, as little of it as is needed: walk a table, read values, set one. v2c, and v3 with authPriv."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyasn1.type import univ
from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.proto import rfc1902

PORT = 161
_ROWS = 25
"""Asked for in one GETBULK: an answer stays within one packet."""
_MOST_ROWS = 200_000
"""A table that goes on beyond this is a broken or hostile agent."""

AUTHENTICATION: Mapping[str, object] = {
    "sha": hlapi.usmHMACSHAAuthProtocol,
    "sha224": hlapi.usmHMAC128SHA224AuthProtocol,
    "sha256": hlapi.usmHMAC192SHA256AuthProtocol,
    "sha384": hlapi.usmHMAC256SHA384AuthProtocol,
    "sha512": hlapi.usmHMAC384SHA512AuthProtocol,
}
PRIVACY: Mapping[str, object] = {
    "aes": hlapi.usmAesCfb128Protocol,
    "aes192": hlapi.usmAesCfb192Protocol,
    "aes256": hlapi.usmAesCfb256Protocol,
}

Value = int | bytes


@dataclass(frozen=True, slots=True)
class V2c:
    """A community: no secret on the wire stays one; use it on closed management networks only."""

    community: str


@dataclass(frozen=True, slots=True)
class V3:
    """A user whose messages are authenticated and encrypted (RFC 3414, RFC 3826)."""

    user: str
    auth_key: str
    priv_key: str
    auth: str = "sha256"
    priv: str = "aes"


class NoAnswer(Exception):  # noqa: N818 - not an error of ours: it becomes a refusal where the switch is spoken to
    """The agent did not answer, or refused; the text says which."""


@dataclass(slots=True)
class Session:
    """One agent, for the length of a conversation."""

    _engine: hlapi.SnmpEngine
    _credential: hlapi.CommunityData | hlapi.UsmUserData
    _target: hlapi.UdpTransportTarget

    async def walk(self, table: str, most: int = 0) -> dict[tuple[int, ...], Value]:
        """Read a table or a column: index below it -> value, in the agent's order.

        Raises:
            NoAnswer: the agent is silent, or its table never ends.
        """
        root = tuple(map(int, table.split(".")))
        found: dict[tuple[int, ...], Value] = {}
        last = root
        while len(found) <= (most or _MOST_ROWS):
            start = hlapi.ObjectType(hlapi.ObjectIdentity(last))
            answer = await self._ask(hlapi.bulk_cmd, 0, _ROWS, start)
            for oid, value in answer:
                if oid <= last or oid[: len(root)] != root or value is None:
                    return found
                found[oid[len(root) :]] = value
                last = oid
            if not answer:
                return found
        raise NoAnswer(f"the table {table} does not end")

    async def get(self, *oids: str) -> list[Value | None]:
        """Read single values; None for what the agent does not have."""
        asked = [hlapi.ObjectType(hlapi.ObjectIdentity(oid)) for oid in oids]
        return [value for _, value in await self._ask(hlapi.get_cmd, *asked)]

    async def set(self, oid: str, value: Value, *, unsigned: bool = False) -> None:
        """Set one value.

        Raises:
            NoAnswer: the agent is silent or says no.
        """
        kind = (
            rfc1902.OctetString
            if isinstance(value, bytes)
            else rfc1902.Gauge32
            if unsigned
            else rfc1902.Integer32
        )
        await self._ask(hlapi.set_cmd, hlapi.ObjectType(hlapi.ObjectIdentity(oid), kind(value)))

    async def _ask(self, command: Any, *arguments: object) -> Sequence[tuple[tuple[int, ...], Value | None]]:  # noqa: ANN401 - a function of a library without types
        try:
            trouble, status, at, rows = await command(
                self._engine, self._credential, self._target, hlapi.ContextData(), *arguments, lookupMib=False
            )
        except PySnmpError as error:
            raise NoAnswer(" ".join(str(error).split())[:200]) from error
        if trouble:
            raise NoAnswer(_explained(str(trouble)))
        if status:
            raise NoAnswer(f"the switch says no: {status.prettyPrint()} (variable {int(at)})")
        return [(tuple(oid), _plain(value)) for oid, value in rows]


@dataclass(slots=True)
class Engines:
    """Engines by credential, kept: making one takes longer than closing a port, and each knows the agents it met.

    One for each credential, because an engine holds one set of keys for a user's name. All on one event loop.
    """

    _by_credential: dict[V2c | V3, hlapi.SnmpEngine] = field(default_factory=dict)

    async def session(
        self, address: str, port: int, credential: V2c | V3, seconds: float, tries: int
    ) -> Session:
        """Talk to one agent.

        Raises:
            NoAnswer: its address is none.
        """
        engine = self._by_credential.get(credential)
        if engine is None:
            engine = self._by_credential[credential] = hlapi.SnmpEngine()
        transport = hlapi.Udp6TransportTarget if ":" in address else hlapi.UdpTransportTarget
        try:
            target = await transport.create((address, port), timeout=seconds, retries=tries - 1)
        except PySnmpError as error:
            raise NoAnswer(" ".join(str(error).split())[:200]) from error
        return Session(engine, _login(credential), target)

    def close(self) -> None:
        """Give the sockets back."""
        for engine in self._by_credential.values():
            engine.close_dispatcher()
        self._by_credential.clear()


def _login(credential: V2c | V3) -> hlapi.CommunityData | hlapi.UsmUserData:
    if isinstance(credential, V2c):
        return hlapi.CommunityData(credential.community, mpModel=1)  # noqa: S508 - where a switch knows no better; docs/network.md says so
    return hlapi.UsmUserData(
        credential.user,
        credential.auth_key,
        credential.priv_key,
        authProtocol=AUTHENTICATION[credential.auth],
        privProtocol=PRIVACY[credential.priv],
    )


def _plain(value: object) -> Value | None:
    """Take the library's types off; None for “no such object”, “no such instance” and the end of the MIB."""
    match value:
        case univ.Null():  # a subclass of the library's OctetString
            return None
        case univ.OctetString():
            return bytes(value.asOctets())
        case univ.Integer():
            return int(value)
        case _:
            return None


def _explained(trouble: str) -> str:
    """Say what a silent or refusing agent usually means."""
    if "timeout" in trouble.lower() or "No SNMP response" in trouble:
        return "no answer: address, path, community, or the v3 protocols differ"
    return " ".join(trouble.split())[:200]
