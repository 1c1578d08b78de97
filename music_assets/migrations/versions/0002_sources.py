"""What the collectors bring: descriptions of items, links between ids, and the bookkeeping of fetches and imports."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    # A fact about an item, as one source tells it. `origin` says whether it came from the service itself (`live`), from
    # an answer kept earlier (`cached`), from recorded answers (`recorded`), from a file (`file`) or is `synthetic`.
    """
    create table source.artists (
        source text, item_id text, name text not null, mbid text, popularity int, listeners bigint, playcount bigint,
        origin text not null, fetched_at timestamptz not null, primary key (source, item_id)
    )
    """,
    """
    create table source.albums (
        source text, item_id text, name text not null, artist_id text, artist_name text, release_date text, tracks int,
        mbid text, origin text not null, fetched_at timestamptz not null, primary key (source, item_id)
    )
    """,
    """
    create table source.tracks (
        source text, item_id text, name text not null, artist_id text, artist_name text, album_id text, duration_ms int,
        explicit boolean, popularity int, listeners bigint, playcount bigint, isrc text, mbid text,
        origin text not null, fetched_at timestamptz not null, primary key (source, item_id)
    )
    """,
    """
    create table source.track_artists (
        source text, track_id text, position int, artist_id text not null, fetched_at timestamptz not null,
        primary key (source, track_id, position)
    )
    """,
    """
    create table source.tags (
        source text, item_id text, tag text, weight double precision, fetched_at timestamptz not null,
        primary key (source, item_id, tag)
    )
    """,
    """
    create table source.similar_artists (
        source text, artist_id text, other_id text, score double precision not null, fetched_at timestamptz not null,
        primary key (source, artist_id, other_id)
    )
    """,
    """
    create table source.audio_features (
        source text, item_id text, acousticness double precision, danceability double precision,
        energy double precision, instrumentalness double precision, liveness double precision,
        loudness double precision, speechiness double precision, tempo double precision, valence double precision,
        key int, mode int, time_signature int, origin text not null, fetched_at timestamptz not null,
        primary key (source, item_id)
    )
    """,
    # Rows of files and answers that no table could take: the dead letters of what does not go through Kafka.
    """
    create table source.rejected (
        source text, batch text, position bigint, reason text not null, field text, raw text not null,
        rejected_at timestamptz not null default now(), primary key (source, batch, position)
    )
    """,
    # Where a collector goes on: the cursor is the source's own.
    """
    create table source.cursors (
        source text, account text, cursor jsonb not null, updated_at timestamptz not null default now(),
        primary key (source, account)
    )
    """,
    # One row per look at a source, good or bad. A look at plays says for which time all of them are acknowledged now.
    """
    create table source.fetches (
        fetch_id uuid primary key default gen_random_uuid(), source text not null, kind text not null,
        account text, outcome text not null, origin text not null, items int not null default 0, requests int not null,
        retries int not null default 0, note text, started_at timestamptz not null, finished_at timestamptz not null,
        covered_from timestamptz, covered_until timestamptz
    )
    """,
    "create index fetches_source_started_at on source.fetches (source, started_at)",
    # Files handed in: position is the first record that is not acknowledged by the broker yet.
    """
    create table source.imports (
        import_id uuid primary key default gen_random_uuid(), kind text not null, file_name text not null,
        sha256 text not null, listener_id text, time_zone text, status text not null,
        position bigint not null default 0,
        accepted bigint not null default 0, rejected bigint not null default 0, skipped bigint not null default 0,
        error text, created_at timestamptz not null default now(), updated_at timestamptz not null default now()
    )
    """,
    "create unique index imports_once on source.imports (kind, sha256, coalesce(listener_id, ''))",
    # Two ids that mean one item. Only active links count; a person's verdict stands above a computed one.
    """
    create table source.item_links (
        item_id text primary key, canonical_id text not null, method text not null,
        confidence double precision not null, decided_by text not null,
        status text not null check (status in ('active', 'proposed', 'rejected')),
        decided_at timestamptz not null default now(), check (item_id <> canonical_id)
    )
    """,
    "create index item_links_canonical_id on source.item_links (canonical_id)",
    """
    create table source.item_link_history (
        at timestamptz not null default now(), item_id text not null, canonical_id text not null, action text not null,
        method text not null, confidence double precision, decided_by text not null
    )
    """,
    # Where a listener's day begins; without a row it is UTC.
    """
    create table source.listener_zones (
        listener_id text primary key, time_zone text not null, updated_at timestamptz not null default now()
    )
    """,
)


def upgrade() -> None:
    op.execute("create schema source")
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop schema source cascade")
