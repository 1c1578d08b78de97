"""Who may ask the API, what listeners chose, and who is forgotten."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = (
    # Of a key only the hash is here. A key that is bound goes with the person it is bound to.
    """
    create table identity.api_keys (
        key_id text primary key, secret_hash bytea not null, name text not null, scopes text[] not null,
        user_id text references identity.listener (user_id) on delete cascade,
        created_at timestamptz not null default now(), expires_at timestamptz, revoked_at timestamptz,
        last_used_at timestamptz
    )
    """,
    "create index api_keys_user_id on identity.api_keys (user_id)",
    # What was done with a key, or to one; nothing in it names a person.
    """
    create table identity.api_audit (
        audit_id bigint generated always as identity primary key, at timestamptz not null default now(),
        key_id text not null, action text not null, detail text
    )
    """,
    "alter table identity.listener add column paused_at timestamptz",
    # An item that is shown again keeps its row: readers follow changes by their time.
    """
    create table identity.hidden_items (
        listener_id uuid references identity.listener (listener_id) on delete cascade, item_id text,
        is_hidden boolean not null, changed_at timestamptz not null default now(), primary key (listener_id, item_id)
    )
    """,
    "create index hidden_items_changed_at on identity.hidden_items (changed_at)",
    # The request table that a sensor reads. The listener's id leaves the row when the erasure is done.
    """
    create table identity.erasures (
        erasure_id uuid primary key default gen_random_uuid(), listener_id text,
        status text not null check (status in ('queued', 'running', 'done', 'failed')),
        hidden_at timestamptz not null default now(), gone_at jsonb not null default '{}',
        rows jsonb not null default '{}', tries int not null default 0, error text,
        updated_at timestamptz not null default now(),
        check ((status = 'done') = (listener_id is null))
    )
    """,
    "create index erasures_open on identity.erasures (hidden_at) where status <> 'done'",
    # Without the pepper of this database nobody can try names against the hashes.
    "create table identity.pepper (is_only boolean primary key default true check (is_only), value bytea not null)",
    """
    insert into identity.pepper (value)
    select sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
    """,
    """
    create function identity.user_hash(user_id text) returns bytea language sql stable
    return (select sha256(pepper.value || convert_to(user_hash.user_id, 'UTF8')) from identity.pepper)
    """,
    """
    create table identity.tombstones (
        user_hash bytea primary key, erasure_id uuid not null, erased_at timestamptz not null default now()
    )
    """,
)


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop function identity.user_hash(text)")
    for table in ("tombstones", "pepper", "erasures", "hidden_items", "api_audit", "api_keys"):
        op.execute(f"drop table identity.{table}")
    op.execute("alter table identity.listener drop column paused_at")
