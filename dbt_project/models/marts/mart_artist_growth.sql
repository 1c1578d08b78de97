-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['week_start']}, {'columns': ['touched_at']}],
    pre_hook="{{ forget_weeks() }}"
) }}

with

newest_batch as (

    select max(touched_at) as touched_at
    from {{ ref('int_pairs_touched') }}

),

charts as (

    select
        item_id,
        week_start,
        listens,
        listeners
    from {{ ref('mart_charts_weekly') }}
    where
        item_kind = 'artist'
        {%- if is_incremental() %}
            and week_start in ({{ chart_weeks_to_build(looked_at=true) }})
        {%- endif %}

),

final as (

    select
        charts.item_id as artist_id,
        charts.week_start,
        charts.listens,
        charts.listeners,
        coalesce(week_before.listens, 0) as listens_before,
        coalesce(week_before.listeners, 0) as listeners_before,
        charts.listeners - coalesce(week_before.listeners, 0) as listeners_gained,
        cast(charts.listens as double precision) / week_before.listens - 1 as growth,
        newest_batch.touched_at
    from charts
    cross join newest_batch
    left join charts as week_before
        on
            charts.item_id = week_before.item_id
            and charts.week_start = {{ dbt.dateadd('day', 7, 'week_before.week_start') }}
    {%- if is_incremental() %}
        where charts.week_start in ({{ chart_weeks_to_build() }})
    {%- endif %}

)

select * from final
