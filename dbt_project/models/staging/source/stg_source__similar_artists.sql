with

source_rows as (

    select * from {{ source('source', 'similar_artists') }}

),

renamed as (

    select
        source,
        artist_id,
        other_id,
        score,
        fetched_at
    from source_rows

)

select * from renamed
