-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'item_id']}, {'columns': ['touched_at']}],
    pre_hook=["{{ forget_touched(['ratings']) }}", "{{ forget_listeners(ref('int_listeners_forgotten')) }}"]
) }}

with

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

{% if is_incremental() -%}
touched as (

    {{ pairs_to_build(['ratings']) | indent }}

),

members as (

    {{ named_ids('touched') | indent }}

),
{%- endif %}

ratings as (

    select
        ratings.event_id,
        ratings.user_id,
        coalesce(canonical.canonical_id, ratings.item_id) as item_id,
        ratings.rating,
        ratings.rated_at,
        ratings.source,
        ratings.context,
        ratings.recommendation_id,
        ratings.kafka_offset
    from {{ ref('stg_silver__ratings') }} as ratings
    {%- if is_incremental() %}
        inner join members
            on
                ratings.user_id = members.user_id
                and ratings.item_id = members.named_id
    {%- endif %}
    left join canonical on ratings.item_id = canonical.item_id

),

final as (

    select
        ratings.event_id,
        ratings.user_id,
        ratings.item_id,
        ratings.rating,
        ratings.rated_at,
        {{ date_key('ratings.rated_at') }} as date_key,
        row_number() over (
            partition by ratings.user_id, ratings.item_id
            order by ratings.rated_at desc, ratings.kafka_offset desc, ratings.event_id asc
        ) = 1 as is_latest,
        ratings.source,
        ratings.context,
        ratings.recommendation_id,
        {{ this_batch() }} as touched_at
    from ratings

)

select * from final
