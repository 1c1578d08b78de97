with

charts as (

    select * from {{ ref('mart_charts_weekly') }}
    where item_kind = 'artist'

),

final as (

    select
        this_week.item_id as artist_id,
        this_week.week_start,
        this_week.listens,
        this_week.listeners,
        coalesce(week_before.listens, 0) as listens_before,
        coalesce(week_before.listeners, 0) as listeners_before,
        this_week.listeners - coalesce(week_before.listeners, 0) as listeners_gained,
        cast(this_week.listens as double precision) / week_before.listens - 1 as growth
    from charts as this_week
    left join charts as week_before
        on
            this_week.item_id = week_before.item_id
            and this_week.week_start = {{ dbt.dateadd('day', 7, 'week_before.week_start') }}

)

select * from final
