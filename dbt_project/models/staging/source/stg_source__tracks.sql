with

source_rows as (

    select * from {{ source('source', 'tracks') }}

),

renamed as (

    select
        source,
        item_id as track_id,
        name as track_name,
        artist_id,
        artist_name,
        album_id,
        duration_ms,
        explicit,
        popularity,
        listeners,
        playcount,
        isrc,
        mbid,
        origin,
        fetched_at
    from source_rows

)

select * from renamed
