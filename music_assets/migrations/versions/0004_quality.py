"""Every result of a check or test, with history, and what was said about it."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # `event_id` is the place in Dagster's log: a result that is read twice is kept once.
    op.execute(
        """
        create table ops.quality_results (
            event_id bigint primary key,
            asset text not null,
            check_name text not null,
            passed boolean not null,
            severity text not null,
            is_blocking boolean not null,
            owner text,
            description text,
            figures jsonb not null,
            run_id text not null,
            evaluated_at timestamptz not null
        )
        """
    )
    op.execute("create index quality_results_check on ops.quality_results (asset, check_name, event_id)")
    # A turn is a result other than the one before it: those are what a person is told of.
    op.execute(
        """
        create table ops.quality_alerts (
            event_id bigint references ops.quality_results on delete cascade,
            channel text,
            sent_at timestamptz,
            tries int not null default 0,
            error text,
            primary key (event_id, channel)
        )
        """
    )


def downgrade() -> None:
    op.execute("drop table ops.quality_alerts")
    op.execute("drop table ops.quality_results")
