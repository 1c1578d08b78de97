with

activity as (

    select * from {{ ref('int_user_activity_unioned') }}

),

final as (

    select
        user_id,
        min(first_at) as first_seen_at,
        max(last_at) as last_seen_at,
        cast(coalesce(sum(case when activity = 'int_listens_deduplicated' then n_events end), 0) as bigint) as n_listens
    from activity
    group by user_id

)

select * from final
