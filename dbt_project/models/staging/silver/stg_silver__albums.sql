with

source as (

    select * from {{ source('silver', 'catalog_albums') }}

),

renamed as (

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
    from source

)

select * from renamed
