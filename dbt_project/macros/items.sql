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


{#- A source's 0 to 100 in five bands, so that a dimension's history changes when something did. -#}
{% macro popularity_band(popularity) -%}
    case
        when {{ popularity }} >= 80 then 'top'
        when {{ popularity }} >= 60 then 'high'
        when {{ popularity }} >= 40 then 'middle'
        when {{ popularity }} >= 20 then 'low'
        when {{ popularity }} >= 0 then 'rare'
    end
{%- endmacro %}
