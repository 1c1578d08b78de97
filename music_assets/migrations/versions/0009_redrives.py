"""Redrives of dead letters that were asked for: the request table that a sensor reads."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        create table ops.redrives (
            redrive_id uuid primary key default gen_random_uuid(), topic text, reason text, since timestamptz,
            state text not null default 'asked' check (state in ('asked', 'running', 'done', 'failed')),
            sentence text not null default 'it waits for a run', sent bigint,
            asked_at timestamptz not null default now(), updated_at timestamptz not null default now()
        )
        """
    )
    op.execute("create index redrives_open on ops.redrives (asked_at) where state in ('asked', 'running')")


def downgrade() -> None:
    op.execute("drop table ops.redrives")
