-- noqa: disable=layout.indent,layout.keyword_newline
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['item_id'], 'unique': true}, {'columns': ['touched_at']}]
) }}

with

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

{% if is_incremental() -%}
mentions as (

    {{ pairs_to_build(['listens', 'views', 'clicks', 'ratings']) | indent }}
    union
    select
        shown_now.user_id,
        coalesce(canonical.canonical_id, shown.item_id) as item_id
    from ({{ answers_to_build(['recommendations'], clicks=false) }}) as touched
    inner join {{ ref('stg_silver__recommendations') }} as shown_now
        on touched.recommendation_id = shown_now.recommendation_id
    {{ unnest_shown('shown_now') }}
    left join canonical on shown.item_id = canonical.item_id
    where shown.item_id is not null

),

final as (

    select distinct
        mentions.item_id,
        {{ this_batch() }} as touched_at
    from mentions
    where not exists (select 1 from {{ this }} as held where mentions.item_id = held.item_id)

)
{%- else -%}
mentions as (

    {% for model in ['int_listens_deduplicated', 'stg_silver__views', 'stg_silver__clicks', 'stg_silver__ratings'] -%}
        select distinct item_id
        from {{ ref(model) }}
        union
    {% endfor -%}
    select distinct shown.item_id
    from {{ ref('stg_silver__recommendations') }} as answers
    {{ unnest_shown('answers') }}
    where shown.item_id is not null

),

final as (

    select distinct
        coalesce(canonical.canonical_id, mentions.item_id) as item_id,
        {{ this_batch() }} as touched_at
    from mentions
    left join canonical on mentions.item_id = canonical.item_id

)
{%- endif %}

select * from final
