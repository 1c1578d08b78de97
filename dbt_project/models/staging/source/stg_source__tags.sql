with

source_rows as (

    select * from {{ source('source', 'tags') }}

),

renamed as (

    select
        source,
        item_id,
        tag,
        weight,
        fetched_at
    from source_rows

)

select * from renamed
