with

activity as (

    select * from {{ ref('int_user_activity_unioned') }}

),

forgotten as (

    select * from {{ ref('int_listeners_forgotten') }}

),

zones as (

    select * from {{ ref('stg_source__listener_zones') }}

),

summed as (

    select
        activity.user_id,
        min(activity.first_at) as first_seen_at,
        max(activity.last_at) as last_seen_at
    from activity
    left join forgotten on activity.user_id = forgotten.user_id
    where forgotten.user_id is null
    group by activity.user_id

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
