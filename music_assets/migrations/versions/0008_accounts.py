"""Local accounts of the web page, and their sessions."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = (
    # An account goes with the person it belongs to; one of an operator alone belongs to nobody who listens.
    """
    create table identity.accounts (
        account_id text primary key, name text not null unique, password_hash text not null,
        user_id text references identity.listener (user_id) on delete cascade,
        is_operator boolean not null, created_at timestamptz not null default now(),
        password_changed_at timestamptz not null default now(), signed_in_at timestamptz,
        check (is_operator or user_id is not null)
    )
    """,
    "create index accounts_user_id on identity.accounts (user_id)",
    # Of a session only the hash of its id is here.
    """
    create table identity.sessions (
        session_hash bytea primary key,
        account_id text not null references identity.accounts (account_id) on delete cascade,
        created_at timestamptz not null default now(), seen_at timestamptz not null default now(),
        expires_at timestamptz not null
    )
    """,
    "create index sessions_account_id on identity.sessions (account_id)",
    "create index sessions_expires_at on identity.sessions (expires_at)",
)


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    for table in ("sessions", "accounts"):
        op.execute(f"drop table identity.{table}")
