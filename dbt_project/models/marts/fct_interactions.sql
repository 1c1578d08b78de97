-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'item_id']}, {'columns': ['touched_at']}],
    pre_hook=[
        "{{ forget_touched(['listens', 'views', 'clicks']) }}",
        "{{ forget_listeners(ref('int_listeners_forgotten')) }}",
    ],
    post_hook="{{ analyze() }}"
) }}

with

{% set kinds = {
    'plays': ('int_listens_deduplicated', 'listened_at'),
    'views': ('stg_silver__views', 'viewed_at'),
    'clicks': ('stg_silver__clicks', 'clicked_at'),
} -%}

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

{% if is_incremental() -%}
touched as (

    {{ pairs_to_build(['listens', 'views', 'clicks']) | indent }}

),

members as (

    {{ named_ids('touched') | indent }}

),
{%- endif %}

interactions as (

    {% for kind, (model, moment) in kinds.items() %}
        select
            events.user_id,
            coalesce(canonical.canonical_id, events.item_id) as item_id,
            {%- for other in kinds %}
                {{ 'count(*)' if other == kind else '0' }} as {{ other }},
            {%- endfor %}
            min(events.{{ moment }}) as first_at,
            max(events.{{ moment }}) as last_at
        from {{ ref(model) }} as events
        {%- if is_incremental() %}
            inner join members
                on
                    events.user_id = members.user_id
                    and events.item_id = members.named_id
        {%- endif %}
        left join canonical on events.item_id = canonical.item_id
        group by 1, 2
        {%- if not loop.last %}
            union all
        {%- endif %}
    {% endfor %}
),

summed as (

    select
        user_id,
        item_id,
        cast(sum(plays) as bigint) as plays,
        cast(sum(views) as bigint) as views,
        cast(sum(clicks) as bigint) as clicks,
        min(first_at) as first_at,
        max(last_at) as last_at
    from interactions
    group by user_id, item_id

),

final as (

    select
        summed.*,
        {{ this_batch() }} as touched_at
    from summed

)

select * from final
