with

source_rows as (

    select * from {{ source('source', 'albums') }}

),

renamed as (

    select
        source,
        item_id as album_id,
        name as album_name,
        artist_id,
        artist_name,
        release_date,
        tracks,
        mbid,
        origin,
        fetched_at
    from source_rows

)

select * from renamed
