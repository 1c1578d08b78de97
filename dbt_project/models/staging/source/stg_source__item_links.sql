with

source_rows as (

    select * from {{ source('source', 'item_links') }}
    where status = 'active'

),

renamed as (

    select
        item_id,
        canonical_id,
        method,
        confidence,
        decided_by,
        decided_at
    from source_rows

)

select * from renamed
