"""A real SMTP server in the laboratory: refuses one recipient, keeps what it accepted, a line of JSON each.

`python -m laboratory.mail_host ADDRESS PORT FILE`
"""

# ruff: noqa: ARG002, N802 - aiosmtpd calls these methods by these names with these arguments

import asyncio
import json
import sys
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

REFUSED = "unwarned@example.org"


@dataclass(frozen=True, slots=True)
class _Keeper:
    file: Path

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == REFUSED:
            return "550 5.1.1 nobody of this name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        message = message_from_bytes(bytes(envelope.original_content or b""), policy=default)
        body = message.get_body(("plain",))
        kept = {
            "to": envelope.rcpt_tos,
            "subject": str(message["Subject"]),
            "language": str(message["Content-Language"] or ""),
            "text": body.get_content() if body else "",
            "kinds": sorted({part.get_content_type() for part in message.walk()}),
        }
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(kept) + "\n")
        return "250 2.0.0 kept"


async def _serve(address: str, port: int, file: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(_Keeper(file), hostname="mail.lab", loop=loop), address, port
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
