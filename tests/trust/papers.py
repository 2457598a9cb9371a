"""The papers that the tests of trust are about."""

from datetime import UTC, datetime, timedelta

import msgspec
from laboratory.office import AT_ONCE, approval_for

from forestall.domain.order import Restart
from forestall.trust.documents import OrderDocument, RemediationDocument

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ORDER = OrderDocument(
    "openssl-1", 1, "upgrade", "debian", "bookworm", "openssl", "3.0.22-1~deb12u2", NOW - HOUR, NOW + 48 * HOUR,
    NOW + 23 * HOUR, AT_ONCE, Restart.PERSON, "critical", {"en": "Security update."},
)  # fmt: skip
PATH = "orders/openssl-1.json"


def order(**changed: object) -> OrderDocument:
    return msgspec.structs.replace(ORDER, **changed)


def approve(paper: OrderDocument, **changed: object) -> RemediationDocument:
    return approval_for(paper, **changed)
