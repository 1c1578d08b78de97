with

source as (

    select * from {{ source('silver', 'catalog_artists') }}

),

renamed as (

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
    from source

)

select * from renamed
