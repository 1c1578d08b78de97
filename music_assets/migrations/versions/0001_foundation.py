"""Identity, operations and the schemas that the warehouse fills."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMAS = ("identity", "silver", "staging", "intermediate", "marts", "dagster")


def upgrade() -> None:
    for schema in _SCHEMAS:
        op.execute(f"create schema if not exists {schema}")
    op.execute(
        """
        create table identity.listener (
            user_id text primary key,
            listener_id uuid not null unique default gen_random_uuid(),
            created_at timestamptz not null default now()
        )
        """
    )
    op.execute(
        """
        create table ops.load_watermark (
            table_name text,
            kafka_topic_id text,
            kafka_partition int,
            end_offset bigint not null,
            loaded_at timestamptz not null default now(),
            primary key (table_name, kafka_topic_id, kafka_partition)
        )
        """
    )


def downgrade() -> None:
    op.execute("drop table ops.load_watermark")
    for schema in _SCHEMAS:
        op.execute(f"drop schema {schema} cascade")
