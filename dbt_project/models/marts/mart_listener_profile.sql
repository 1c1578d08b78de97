with

weeks as (

    select * from {{ ref('mart_recap_facts') }}

),

final as (

    select
        user_id,
        cast(sum(listens) as bigint) as listens,
        sum(minutes) as minutes,
        cast(count(*) as integer) as active_weeks,
        cast(sum(active_days) as integer) as active_days,
        min(week_start) as first_week,
        max(week_start) as last_week,
        cast(sum(new_artists) as bigint) as artists,
        cast(sum(skips) as double precision) / sum(listens) as skip_share,
        cast(sum(recommended) as double precision) / sum(listens) as recommended_share
    from weeks
    group by user_id

)

select * from final
