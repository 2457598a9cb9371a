"""Every table, once. Migrations write the same schema out; a test holds the two together.

All instants are timestamptz and UTC. Version keys are bytea, so that PostgreSQL sorts them as dpkg would.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def _moment(name: str) -> Column[datetime | None]:
    return Column(name, DateTime(timezone=True))


def _must(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = Text) -> Column[Any]:
    return Column(name, kind, nullable=False)


MOMENT = DateTime(timezone=True)
TEXTS = ARRAY(Text)
NUMBERS = ARRAY(Integer)

ledger = Table(
    "ledger",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    _must("at", MOMENT),
    _must("kind"),
    _must("actor"),
    _must("subject"),
    _must("campaign"),
    _must("rule"),
    _must("paragraph"),
    Column("body", JSON(none_as_null=True)),  # not jsonb: the text must come back as it was hashed
    _must("previous"),
    _must("hash"),
    Index(None, "campaign", "sequence"),
    Index(None, "subject", "sequence"),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    _must("holder"),
    _must("epoch", BigInteger),
    _must("until", MOMENT),
)

feed = Table(
    "feed",
    metadata,
    Column("name", Text, primary_key=True),
    _moment("last_good_at"),
    _must("sha256"),
    _must("records", Integer),
    _must("last_error"),
    _moment("last_error_at"),
    _must("held"),
)

advisory = Table(
    "advisory",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    _must("title"),
    _must("published_at", MOMENT),
    _must("vulnerabilities", TEXTS),
    _must("origin"),
)

product = Table(
    "product",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("advisory", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _must("release"),
    _must("source"),
    _must("status"),
    Column("fixed", Text),
    Column("fixed_key", LargeBinary),
    Index(None, "release", "source"),
)

vulnerability = Table(
    "vulnerability",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    _must("title"),
    _must("description"),
    _must("exploitation"),
    Column("exploited_since", Date),
    _must("ransomware", Boolean),
    Column("epss", Double),
    Column("cvss_score", Double),
    _must("cvss_vector"),
    _must("weaknesses", TEXTS),
    Column("automatable", Boolean),
    Column("technical_impact_total", Boolean),
    _must("rejected", Boolean),
)

enrolment_token = Table(
    "enrolment_token",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    _must("site"),
    _must("uses_left", Integer),
    _must("expires_at", MOMENT),
    _must("made_by"),
    _must("made_at", MOMENT),
    CheckConstraint("uses_left >= 0", name="uses_left"),
)

device = Table(
    "device",
    metadata,
    Column("id", Text, primary_key=True),
    _must("name"),
    _must("site"),
    _must("managed", Boolean),
    _must("owner"),
    Column("owner_source", Text),
    Column("disowned", Text, nullable=False, server_default=""),
    _must("language"),
    _must("addresses", TEXTS),
    _must("protected", Boolean),
    _moment("seen_at"),
    _moment("heard_at"),
    Column("agent_version", Text, nullable=False, server_default=""),
    Column("boot_id", Text, nullable=False, server_default=""),
    Column("sequence", BigInteger, nullable=False, server_default="0"),
    Column("spoke_from", Text, nullable=False, server_default=""),
    Column("spoke_by", Text, nullable=False, server_default=""),
    Index(None, "name"),
    Index(None, "site"),
    Index(None, "addresses", postgresql_using="gin"),
)

claim = Table(
    "claim",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device", ForeignKey("device.id", ondelete="CASCADE"), nullable=False),
    _must("address"),
    _must("language"),
    _must("asked_at", MOMENT),
    _moment("tried_at"),
    _moment("answered_at"),
    Column("detail", Text, nullable=False, server_default=""),
    _moment("confirmed_at"),
    Index(None, "device"),
    Index(None, "asked_at"),
)
"""Whose somebody at a machine said that it is.

`tried_at` is when the question was handed over last, `answered_at` when that was for good: it is not tried again.
"""

device_identity = Table(
    "device_identity",
    metadata,
    Column("device", ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
    _must("serial"),
    Column("void", Text),
    _moment("void_at"),
)
"""Of each enrolled machine the serial number of the newest certificate that has spoken, 32 hexadecimal digits."""

package_version = Table(
    "package_version",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    _must("release"),
    _must("source"),
    _must("version"),
    Column("key", LargeBinary),
    UniqueConstraint("release", "source", "version"),
)
"""Each source package version that any machine has, once: versions are compared here, never once a machine."""

inventory = Table(
    "inventory",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    _must("content", LargeBinary),
    _must("release"),
    _must("installed", NUMBERS),
    _must("broken", NUMBERS),
    _must("packages", LargeBinary),
    _must("used_at", MOMENT),
    UniqueConstraint("content"),
)
"""Machines with the same packages share one row."""

device_inventory = Table(
    "device_inventory",
    metadata,
    Column("device", ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
    Column("inventory", ForeignKey("inventory.id"), nullable=False),
    _must("sha256"),
    _must("sequence", BigInteger),
    _must("reported_at", MOMENT),
    Index(None, "inventory"),
)

rating = Table(
    "rating",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _must("remediation"),
    _must("level"),
    _must("proposed"),
    _must("escalation", Boolean),
    _must("expansion", Boolean),
    _must("exposure", Boolean),
    _must("by"),
    _must("at", MOMENT),
    _must("reasons", TEXTS),
    Index(None, "remediation", "id"),
)

campaign = Table(
    "campaign",
    metadata,
    Column("id", Text, primary_key=True),
    _must("revision", Integer),
    _must("remediation"),
    _must("kind"),
    _must("level"),
    _must("phase"),
    _must("voluntary_period", Interval),
    _must("goal", Double),
    _must("published_at", MOMENT),
    _must("rated_at", MOMENT),
    _must("handed_over_at", MOMENT),
    _moment("distributed_at"),
    _moment("deadline_at"),
    _moment("imminent_at"),
    _must("mail_waived", Boolean),
    _moment("halted_at"),
    _must("halted_because"),
    _moment("ended_at"),
    Column("rolled_up_by", Text),
    _moment("resumed_at"),
    Column("ring", Text),
    _moment("ring_opened_at"),
    _moment("tested_at"),
)

record = Table(
    "record",
    metadata,
    Column("campaign", ForeignKey("campaign.id"), primary_key=True),
    Column("device", Text, primary_key=True),
    Column("agent_status", Text),
    _moment("agent_at"),
    Column("inventory_status", Text),
    _moment("inventory_at"),
    Column("door_status", Text),
    _moment("door_at"),
    Column("probe_status", Text),
    _moment("probe_at"),
    _moment("unread_at"),
    _moment("disputed_at"),
    _moment("exempt_until"),
    Column("believed", Text),
    _moment("believed_until"),
    _moment("announced_at"),
    _moment("offered_at"),
    _moment("forced_at"),
    Column("failures", Integer, nullable=False, server_default="0"),
    _moment("failing_since"),
    _moment("forcing_at"),
    _moment("restart_ordered_at"),
    _moment("expected_at"),
    _moment("counted_down_at"),
    _moment("asked_at"),
    _moment("looked_at"),
    _moment("warning_at"),
    _moment("warned_at"),
    _moment("refused_at"),
    _moment("told_at"),
    _moment("helped_at"),
    _moment("reviewed_at"),
    _moment("recalled_at"),
    _moment("quarantined_at"),
    _moment("released_at"),
    _moment("fixed_at"),
    _moment("check_asked_at"),
    Column("episode", Integer, nullable=False, server_default="0"),
    Index(None, "device"),
    # Rewritten in place again and again: room for a second version of all rows keeps the updates off the indexes.
    postgresql_with={"fillfactor": 45},
)
"""`domain.record.Record` without what belongs to the machine in all campaigns."""
Index("record_disputed_idx", record.c.campaign, postgresql_where=record.c.disputed_at.is_not(None))

ring_member = Table(
    "ring_member",
    metadata,
    Column("device", ForeignKey("device.id", ondelete="CASCADE"), primary_key=True),
    _must("ring"),
    _must("by"),
    _must("since", MOMENT),
    Index(None, "ring"),
)
"""The lists of the rings; who is on none is in the broad one."""

trial = Table(
    "trial",
    metadata,
    Column("campaign", ForeignKey("campaign.id"), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("device", Text, primary_key=True),
    _must("was_affected", Boolean),
    _moment("installed_at"),
    _must("boot_id"),
    _moment("effective_at"),
    _moment("restarted_at"),
    _moment("relapsed_at"),
    _moment("failed_at"),
    _must("services", TEXTS),
    _moment("services_at"),
    _must("broke"),
    _moment("broke_at"),
)
"""`domain.trial.Trial` of each machine that has said something of an install."""

evidence = Table(
    "evidence",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _must("campaign"),
    _must("device"),
    _must("witness"),
    _must("status"),
    _must("observed_at", MOMENT),
    _must("detail"),
    Index(None, "campaign", "device", "id"),
)
"""Every change of a witness's word; that it was repeated shows in the record's instant."""

intent = Table(
    "intent",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("device", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    _must("site"),
    _must("rule"),
    _must("paragraph"),
    _must("ordered_at", MOMENT),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _moment("retry_at"),
    Column("outcome", Text),
    _moment("ended_at"),
    Column("detail", Text, nullable=False, server_default=""),
    Column("notice", Text),
)
Index("intent_open_idx", intent.c.ordered_at, postgresql_where=intent.c.ended_at.is_(None))
Index(
    "intent_braked_idx",
    intent.c.action,
    intent.c.ordered_at,
    postgresql_where=intent.c.action.in_(["install", "quarantine"]),
)
Index("intent_notice_idx", intent.c.notice, postgresql_where=intent.c.notice.is_not(None))

notice = Table(
    "notice",
    metadata,
    Column("id", Text, primary_key=True),
    _must("campaign"),
    _must("revision", Integer),
    _must("action"),
    _must("address"),
    _must("name"),
    _must("language"),
    _must("daily", Boolean),
    _must("everybody", Boolean),
    _must("written_at", MOMENT),
    _must("due_at", MOMENT),
    Column("message", Text),
    _moment("begun_at"),
    _moment("doubt_at"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("outcome", Text),
    _moment("ended_at"),
    Column("detail", Text, nullable=False, server_default=""),
    Index(None, "address"),
    Index(None, "campaign", "revision"),
    Index(None, "message"),
)
Index(
    "notice_open_idx",
    notice.c.daily,
    notice.c.due_at,
    notice.c.address,
    postgresql_where=notice.c.ended_at.is_(None),
)

held = Table(
    "held",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("device", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    _must("site"),
    _must("rule"),
    _must("paragraph"),
    _must("brake"),
    _must("brake_paragraph"),
    _must("since", MOMENT),
)

approval = Table(
    "approval",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _must("matter"),
    _must("campaign"),
    _must("by"),
    _must("at", MOMENT),
    _must("expires_at", MOMENT),
    _must("machines"),
    _must("count", Integer),
    _must("left", Integer),
    Column("approved_by", Text),
    _moment("approved_at"),
    Column("subject", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("control", Text, nullable=False, server_default=""),
    _moment("until"),
    Column("devices", TEXTS, nullable=False, server_default="{}"),
)
"""`machines` is the hash of `devices`: the set that was previewed."""

sighting = Table(
    "sighting",
    metadata,
    Column("source", Text, primary_key=True),
    Column("site", Text, primary_key=True),
    Column("hardware", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("certificate", Text, primary_key=True),
    _must("seen_at", MOMENT),
    _must("name"),
    _must("user"),
    _must("port"),
    Column("device", Text),
    Column("vlan", Integer, nullable=False, server_default="0"),
    Index(None, "seen_at"),
    Index(None, "device"),
    Index("sighting_waiting_idx", "seen_at", postgresql_where=text("device IS NULL")),
)
"""Who was seen where, each way of being seen once, with its last time; `device` is whom it was taken for."""

attachment = Table(
    "attachment",
    metadata,
    Column("device", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    _must("port"),
    _must("vlan", Integer),
    _must("since", MOMENT),
    _must("seen_at", MOMENT),
    _must("before"),
)
"""At which port each source saw a machine last, since when, and at which one before."""

table_read = Table(
    "table_read",
    metadata,
    Column("name", Text, primary_key=True),
    _must("tried_at", MOMENT),
    _moment("good_at"),
    _must("forwarding", Integer),
    _must("neighbours", Integer),
    _must("seconds", Double),
    _must("trouble"),
    _must("next_at", MOMENT),
)
"""When the tables of each switch and router were last read, what came of it, and when they are read next."""
