"""What the warehouse needs to build only what is new, and to remember how good its rows were."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Copies that an earlier release loaded have no load id yet; 0 is before every load.
_LOAD_ID = """
    do $$
    declare
        held regclass;
    begin
        for held in select oid from pg_class where relnamespace = 'silver'::regnamespace and relkind = 'r' loop
            execute format('alter table %s add column if not exists load_id bigint not null default 0', held);
            execute format('alter table %s alter column load_id drop default', held);
        end loop;
    end $$
"""


def upgrade() -> None:
    op.execute("create sequence ops.load_id")
    op.execute(_LOAD_ID)
    op.execute(
        """
        create table ops.quality_results (
            run_id text, test text, asset text not null, status text not null, severity text not null, owner text,
            failures bigint, message text, at timestamptz not null default now(), primary key (run_id, test, asset)
        )
        """
    )
    op.execute("create index quality_results_at on ops.quality_results (at)")


def downgrade() -> None:
    op.execute("drop table ops.quality_results")
    op.execute("drop sequence ops.load_id")
