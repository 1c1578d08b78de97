-- No common expressions: PostgreSQL reads the whole of a view that has one when something is joined to it.
select
    ---------- ids
    item_id as track_id,
    {{ item_of_kind('artist_id', 'artist') }} as artist_id,
    {{ item_of_kind('album_id', 'album') }} as album_id,

    ---------- values
    name as track_name,
    duration_ms,
    genre,
    source,

    ---------- timestamps
    updated_at,

    ---------- position
    load_id
from {{ source('silver', 'catalog_songs') }}
