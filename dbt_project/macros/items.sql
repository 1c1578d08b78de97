{#- The kind of an item: `track`, `artist` or `album`. -#}
{% macro item_kind(item_id) -%}
    {{ dbt.split_part(item_id, "':'", 1) }}
{%- endmacro %}


{#- The id of an item whose kind is known, whether or not its source wrote the kind. -#}
{% macro item_of_kind(item_id, kind) -%}
    case
        when {{ item_id }} like '{{ kind }}:%' then {{ item_id }}
        else {{ dbt.concat(["'" ~ kind ~ ":'", item_id]) }}
    end
{%- endmacro %}
