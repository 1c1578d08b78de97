"""How far the warehouse was compared, so that the next comparison is of what is new."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        create table ops.reconciled (
            name text primary key,
            load_id bigint,
            touched_at timestamptz,
            reconciled_at timestamptz not null default now()
        )
        """
    )


def downgrade() -> None:
    op.execute("drop table ops.reconciled")
