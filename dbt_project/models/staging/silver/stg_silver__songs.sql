with

source as (

    select * from {{ source('silver', 'catalog_songs') }}

),

renamed as (

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
    from source

)

select * from renamed
