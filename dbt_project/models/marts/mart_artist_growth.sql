-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['week_start']}, {'columns': ['touched_at']}],
    pre_hook="{{ forget_weeks() }}"
) }}

with

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

followed as (

    select
        *,
        lag(week_start) over (partition by item_id order by week_start) as week_before,
        lag(listens) over (partition by item_id order by week_start) as listens_then,
        lag(listeners) over (partition by item_id order by week_start) as listeners_then
    from charts

),

compared as (

    select
        item_id,
        week_start,
        listens,
        listeners,
        case when week_start = {{ dbt.dateadd('day', 7, 'week_before') }} then listens_then end as listens_before,
        case when week_start = {{ dbt.dateadd('day', 7, 'week_before') }} then listeners_then end as listeners_before
    from followed
    {%- if is_incremental() %}
        where week_start in ({{ chart_weeks_to_build() }})
    {%- endif %}

),

final as (

    select
        compared.item_id as artist_id,
        compared.week_start,
        compared.listens,
        compared.listeners,
        coalesce(compared.listens_before, 0) as listens_before,
        coalesce(compared.listeners_before, 0) as listeners_before,
        compared.listeners - coalesce(compared.listeners_before, 0) as listeners_gained,
        cast(compared.listens as double precision) / compared.listens_before - 1 as growth,
        {{ this_batch() }} as touched_at
    from compared

)

select * from final
