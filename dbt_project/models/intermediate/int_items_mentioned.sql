-- noqa: disable=layout.indent,layout.keyword_newline
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['item_id'], 'unique': true}, {'columns': ['touched_at']}]
) }}

with

newest_batch as (

    select max(touched_at) as touched_at
    from {{ ref('int_pairs_touched') }}

),

{% if is_incremental() -%}
mentions as (

    {{ pairs_to_build(['listens', 'views', 'clicks']) | indent }}

),

final as (

    select distinct
        mentions.item_id,
        newest_batch.touched_at
    from mentions
    cross join newest_batch
    where not exists (select 1 from {{ this }} as held where mentions.item_id = held.item_id)

)
{%- else -%}
canonical as (

    select * from {{ ref('int_items_canonical') }}

),

mentions as (

    {% for model in ['int_listens_deduplicated', 'stg_silver__views', 'stg_silver__clicks'] -%}
        select distinct item_id
        from {{ ref(model) }}
        {%- if not loop.last %}
            union
        {% endif %}
    {%- endfor %}

),

final as (

    select distinct
        coalesce(canonical.canonical_id, mentions.item_id) as item_id,
        newest_batch.touched_at
    from mentions
    cross join newest_batch
    left join canonical on mentions.item_id = canonical.item_id

)
{%- endif %}

select * from final
