-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['week_start', 'item_kind', 'rank']}, {'columns': ['touched_at']}],
    pre_hook="{{ forget_weeks() }}", post_hook="{{ analyze() }}"
) }}

with

newest_batch as (

    select max(touched_at) as touched_at
    from {{ ref('int_pairs_touched') }}

),

listens as (

    select
        user_id,
        artist_id,
        track_id,
        local_week
    from {{ ref('fct_listens') }}
    {%- if is_incremental() %}
        where local_week in ({{ chart_weeks_to_build(looked_at=true) }})
    {%- endif %}

),

counted as (

    {% for kind in ['artist', 'track'] -%}
        select
            '{{ kind }}' as item_kind,
            {{ kind }}_id as item_id,
            local_week as week_start,
            count(*) as listens,
            count(distinct user_id) as listeners
        from listens
        where {{ kind }}_id is not null
        group by {{ kind }}_id, local_week
        {%- if not loop.last %}
            union all
        {% endif %}
    {%- endfor %}

),

ranked as (

    select
        *,
        row_number() over (
            partition by item_kind, week_start order by listens desc, listeners desc, item_id asc
        ) as place
    from counted

),

final as (

    select
        ranked.item_kind,
        ranked.item_id,
        ranked.week_start,
        cast(ranked.place as integer) as rank,
        cast(before.place as integer) as previous_rank,
        ranked.listens,
        ranked.listeners,
        newest_batch.touched_at
    from ranked
    cross join newest_batch
    left join ranked as before
        on
            ranked.item_kind = before.item_kind
            and ranked.item_id = before.item_id
            and ranked.week_start = {{ dbt.dateadd('day', 7, 'before.week_start') }}
    {%- if is_incremental() %}
        where ranked.week_start in ({{ chart_weeks_to_build() }})
    {%- endif %}

)

select * from final
