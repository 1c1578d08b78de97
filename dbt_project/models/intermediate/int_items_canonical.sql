-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='item_id', full_refresh=false
) }}

with

links as (

    select * from {{ ref('stg_source__item_links') }}

),

{% if is_incremental() -%}
held as (

    select
        item_id,
        canonical_id
    from {{ this }}

),

-- A link that no longer holds leaves its item standing for itself: what was built with it must be found again.
final as (

    select
        coalesce(links.item_id, held.item_id) as item_id,
        coalesce(links.canonical_id, held.item_id) as canonical_id,
        coalesce(held.canonical_id, links.item_id) as previous_canonical_id,
        {{ this_moment() }} as changed_at
    from links
    full outer join held on links.item_id = held.item_id
    where held.item_id is null or coalesce(links.canonical_id, held.item_id) != held.canonical_id

)
{%- else -%}
final as (

    select
        item_id,
        canonical_id,
        item_id as previous_canonical_id,
        {{ this_moment() }} as changed_at
    from links

)
{%- endif %}

select * from final
