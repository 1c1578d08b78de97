{#- Query for the tags of one kind of item, under the ids that stand for them. -#}
{% macro tags_of(kind) -%}
with

tags as (

    select * from {{ ref('stg_source__tags') }}

),

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

named as (

    select
        coalesce(canonical.canonical_id, tags.item_id) as {{ kind }}_id,
        lower(trim(tags.tag)) as tag,
        tags.weight
    from tags
    left join canonical on tags.item_id = canonical.item_id

),

final as (

    select
        {{ kind }}_id,
        tag,
        max(weight) as weight
    from named
    where {{ item_kind(kind ~ '_id') }} = '{{ kind }}'
    group by {{ kind }}_id, tag

)

select * from final
{%- endmacro %}
