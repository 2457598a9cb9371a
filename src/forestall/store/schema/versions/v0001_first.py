"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

LEDGER_IS_APPEND_ONLY = """
CREATE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: nothing in it is changed or removed';
END $$;
CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses();
"""


def upgrade() -> None:
    op.create_table(
        "advisory",
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("vulnerabilities", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "id", name="advisory_pkey"),
    )
    op.create_table(
        "approval",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("matter", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("machines", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="approval_pkey"),
    )
    op.create_table(
        "campaign",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("remediation", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("voluntary_period", sa.Interval(), nullable=False),
        sa.Column("goal", sa.Double(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handed_over_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("distributed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("imminent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mail_waived", sa.Boolean(), nullable=False),
        sa.Column("halted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("halted_because", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rolled_up_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="campaign_pkey"),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("managed", sa.Boolean(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("addresses", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("agent_version", sa.Text(), server_default="", nullable=False),
        sa.Column("boot_id", sa.Text(), server_default="", nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="device_pkey"),
    )
    op.create_index("device_name_idx", "device", ["name"], unique=False)
    op.create_index("device_site_idx", "device", ["site"], unique=False)
    op.create_table(
        "enrolment_token",
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("uses_left >= 0", name="enrolment_token_uses_left_check"),
        sa.PrimaryKeyConstraint("sha256", name="enrolment_token_pkey"),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("witness", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="evidence_pkey"),
    )
    op.create_index("evidence_campaign_device_id_idx", "evidence", ["campaign", "device", "id"], unique=False)
    op.create_table(
        "feed",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_good_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("last_error_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="feed_pkey"),
    )
    op.create_table(
        "held",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("paragraph", sa.Text(), nullable=False),
        sa.Column("brake", sa.Text(), nullable=False),
        sa.Column("brake_paragraph", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "revision", "device", "action", "round", name="held_pkey"),
    )
    op.create_table(
        "intent",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("paragraph", sa.Text(), nullable=False),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("campaign", "revision", "device", "action", "round", name="intent_pkey"),
    )
    op.create_index(
        "intent_braked_idx",
        "intent",
        ["action", "ordered_at"],
        unique=False,
        postgresql_where=sa.text("action IN ('install', 'quarantine')"),
    )
    op.create_index(
        "intent_open_idx",
        "intent",
        ["ordered_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "inventory",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("installed", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("broken", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("packages", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="inventory_pkey"),
        sa.UniqueConstraint("content", name="inventory_content_key"),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="lease_pkey"),
    )
    op.create_table(
        "ledger",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("paragraph", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSON(none_as_null=True), nullable=True),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="ledger_pkey"),
    )
    op.create_index("ledger_campaign_sequence_idx", "ledger", ["campaign", "sequence"], unique=False)
    op.create_index("ledger_subject_sequence_idx", "ledger", ["subject", "sequence"], unique=False)
    op.create_table(
        "package_version",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="package_version_pkey"),
        sa.UniqueConstraint(
            "release", "source", "version", name="package_version_release_source_version_key"
        ),
    )
    op.create_table(
        "product",
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("advisory", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("fixed", sa.Text(), nullable=True),
        sa.Column("fixed_key", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("feed", "advisory", "position", name="product_pkey"),
    )
    op.create_index("product_release_source_idx", "product", ["release", "source"], unique=False)
    op.create_table(
        "rating",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("remediation", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("proposed", sa.Text(), nullable=False),
        sa.Column("escalation", sa.Boolean(), nullable=False),
        sa.Column("expansion", sa.Boolean(), nullable=False),
        sa.Column("exposure", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name="rating_pkey"),
    )
    op.create_index("rating_remediation_id_idx", "rating", ["remediation", "id"], unique=False)
    op.create_table(
        "vulnerability",
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("exploitation", sa.Text(), nullable=False),
        sa.Column("exploited_since", sa.Date(), nullable=True),
        sa.Column("ransomware", sa.Boolean(), nullable=False),
        sa.Column("epss", sa.Double(), nullable=True),
        sa.Column("cvss_score", sa.Double(), nullable=True),
        sa.Column("cvss_vector", sa.Text(), nullable=False),
        sa.Column("weaknesses", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("automatable", sa.Boolean(), nullable=True),
        sa.Column("technical_impact_total", sa.Boolean(), nullable=True),
        sa.Column("rejected", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "id", name="vulnerability_pkey"),
    )
    op.create_table(
        "device_inventory",
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("inventory", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["device"], ["device.id"], name="device_inventory_device_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["inventory"], ["inventory.id"], name="device_inventory_inventory_fkey"),
        sa.PrimaryKeyConstraint("device", name="device_inventory_pkey"),
    )
    op.create_index("device_inventory_inventory_idx", "device_inventory", ["inventory"], unique=False)
    op.create_table(
        "device_secret",
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["device"], ["device.id"], name="device_secret_device_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device", name="device_secret_pkey"),
    )
    op.create_table(
        "record",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("agent_status", sa.Text(), nullable=True),
        sa.Column("agent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("inventory_status", sa.Text(), nullable=True),
        sa.Column("inventory_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("door_status", sa.Text(), nullable=True),
        sa.Column("door_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_status", sa.Text(), nullable=True),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unread_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exempt_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("forced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("restart_ordered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counted_down_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warning_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("helped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recalled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fixed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("episode", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.id"], name="record_campaign_fkey"),
        sa.PrimaryKeyConstraint("campaign", "device", name="record_pkey"),
        postgresql_with={"fillfactor": 60},
    )
    op.create_index("record_device_idx", "record", ["device"], unique=False)
    op.execute(LEDGER_IS_APPEND_ONLY)
