-- noqa: disable=layout.indent
{#-
    What a generic test looks at. A build of what is new (`every_row: false`) looks at the newest batch of the models
    that `built_by_pair` names and at the newest load of those that `loaded_in_order`
    does; with `every_row`, the default and what runs every night, a test sees every row.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get("where") -%}
    {%- if where -%}
        (select * from {{ relation }} where {{ where }}) as filtered
    {%- elif relation.identifier in var("built_by_pair") and not var("every_row") -%}
        (select * from {{ relation }} where touched_at = {{ newest(relation, "touched_at", "null") }}) as touched
    {%- elif relation.identifier in var("loaded_in_order") and not var("every_row") -%}
        (select * from {{ relation }} where load_id = {{ newest(relation, "load_id", "0") }}) as touched
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}


{#- The rows of a model that a singular test looks at: all, or those of the newest batch. -#}
{% macro rows_to_test(model) -%}
    {%- if var("every_row") -%}
        {{ ref(model) }}
    {%- else -%}
        (select * from {{ ref(model) }} where touched_at = {{ newest(ref(model), "touched_at", "null") }})
    {%- endif -%}
{%- endmacro %}


{#- The stored listens that a singular test looks at: all, or those of the pairs of the newest batch. A pair is built
    as a whole, so its events can be counted as a whole. -#}
{% macro stored_listens_to_test() -%}
    {%- if var("every_row") -%}
        {{ ref("stg_silver__listens") }}
    {%- else -%}
        (
            with pairs as (select distinct user_id, item_id from {{ rows_to_test("int_listens_deduplicated") }})

            select listens.*
            from {{ ref("stg_silver__listens") }} as listens
            inner join ({{ named_ids("pairs") }}) as members on listens.user_id = members.user_id and listens.item_id = members.named_id
            left join {{ ref("int_items_canonical") }} as links on listens.item_id = links.item_id
            where (listens.user_id, coalesce(links.canonical_id, listens.item_id)) in (select user_id, item_id from pairs)
        )
    {%- endif -%}
{%- endmacro %}
