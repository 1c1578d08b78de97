with

source_rows as (

    select * from {{ source('source', 'listener_zones') }}

),

renamed as (

    select
        listener_id as user_id,
        time_zone,
        updated_at
    from source_rows

)

select * from renamed
