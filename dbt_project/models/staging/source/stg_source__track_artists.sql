with

source_rows as (

    select * from {{ source('source', 'track_artists') }}

),

renamed as (

    select
        source,
        track_id,
        position,
        artist_id,
        fetched_at
    from source_rows

)

select * from renamed
