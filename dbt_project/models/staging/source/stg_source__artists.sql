with

source_rows as (

    select * from {{ source('source', 'artists') }}

),

renamed as (

    select
        source,
        item_id as artist_id,
        name as artist_name,
        mbid,
        popularity,
        listeners,
        playcount,
        origin,
        fetched_at
    from source_rows

)

select * from renamed
