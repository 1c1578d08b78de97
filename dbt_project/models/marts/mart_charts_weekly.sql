-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='week_start', on_schema_change='fail',
    indexes=[{'columns': ['week_start', 'item_kind', 'rank']}, {'columns': ['touched_at']}]
) }}

with

newest_batch as (

    select max(touched_at) as touched_at
    from {{ ref('int_pairs_touched') }}

),

{% if is_incremental() -%}
moved as (

    select distinct local_week
    from (
        {{ weeks_to_build() | indent(8) }}
    ) as weeks_of_listeners

),

-- A week's ranks are the next one's previous ranks.
weeks as (

    select local_week as week_start
    from moved
    union
    select cast({{ dbt.dateadd('day', 7, 'local_week') }} as date) as week_start
    from moved

),

looked_at as (

    select week_start
    from weeks
    union
    select cast({{ dbt.dateadd('day', -7, 'week_start') }} as date) as week_start
    from weeks

),

listens as (

    select listens.*
    from {{ ref('fct_listens') }} as listens
    inner join looked_at on listens.local_week = looked_at.week_start

),
{%- else -%}
weeks as (

    select distinct local_week as week_start
    from {{ ref('fct_listens') }}

),

listens as (

    select * from {{ ref('fct_listens') }}

),
{%- endif %}

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
    inner join weeks on ranked.week_start = weeks.week_start
    cross join newest_batch
    left join ranked as before
        on
            ranked.item_kind = before.item_kind
            and ranked.item_id = before.item_id
            and ranked.week_start = {{ dbt.dateadd('day', 7, 'before.week_start') }}

)

select * from final
