-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'week_start']}, {'columns': ['touched_at']}],
    pre_hook=["{{ forget_later_weeks() }}", "{{ forget_listeners(ref('int_listeners_forgotten')) }}"],
    post_hook="{{ analyze() }}"
) }}

with

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
        {{ this_batch() }} as touched_at
    from ranked
    where ranked.rank <= 5

)

select * from final
