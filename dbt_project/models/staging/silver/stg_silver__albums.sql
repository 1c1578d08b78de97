-- No common expressions: PostgreSQL reads the whole of a view that has one when something is joined to it.
select
    ---------- ids
    item_id as album_id,
    {{ item_of_kind('artist_id', 'artist') }} as artist_id,

    ---------- values
    name as album_name,
    release_date,
    source,

    ---------- timestamps
    updated_at,

    ---------- position
    load_id
from {{ source('silver', 'catalog_albums') }}
