-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'week_start']}, {'columns': ['touched_at']}],
    pre_hook=["{{ forget_later_weeks() }}", "{{ forget_listeners(ref('int_listeners_forgotten')) }}"],
    post_hook="{{ analyze() }}"
) }}

with

newest_batch as (

    select max(touched_at) as touched_at
    from {{ ref('int_pairs_touched') }}

),

listens as (

    {{ listens_of_later_weeks() | indent }}

),

counted as (

    {% for kind in ['artist', 'track'] -%}
        select
            user_id,
            local_week as week_start,
            '{{ kind }}' as item_kind,
            {{ kind }}_id as item_id,
            count(*) as listens
        from listens
        where {{ kind }}_id is not null
        group by user_id, local_week, {{ kind }}_id
        {%- if not loop.last %}
            union all
        {% endif %}
    {%- endfor %}

),

ranked as (

    select
        *,
        cast(row_number() over (
            partition by user_id, week_start, item_kind order by listens desc, item_id asc
        ) as integer) as rank
    from counted

),

final as (

    select
        ranked.user_id,
        ranked.week_start,
        ranked.item_kind,
        ranked.rank,
        ranked.item_id,
        ranked.listens,
        newest_batch.touched_at
    from ranked
    cross join newest_batch
    where ranked.rank <= 5

)

select * from final
