-- No common expressions: PostgreSQL reads the whole of a view that has one when something is joined to it.
select
    ---------- ids
    item_id as artist_id,

    ---------- values
    name as artist_name,
    genre,
    country,
    source,

    ---------- timestamps
    updated_at
from {{ source('silver', 'catalog_artists') }}
