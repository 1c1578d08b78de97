with

activity as (

    select * from {{ ref('int_user_activity_unioned') }}

),

zones as (

    select * from {{ ref('stg_source__listener_zones') }}

),

summed as (

    select
        user_id,
        min(first_at) as first_seen_at,
        max(last_at) as last_seen_at
    from activity
    group by user_id

),

final as (

    select
        summed.user_id,
        summed.first_seen_at,
        summed.last_seen_at,
        coalesce(zones.time_zone, 'UTC') as time_zone
    from summed
    left join zones on summed.user_id = zones.user_id

)

select * from final
