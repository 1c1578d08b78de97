"""What the warehouse needs to build only what is new."""

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


def downgrade() -> None:
    op.execute("drop sequence ops.load_id")
