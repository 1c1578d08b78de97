{#- All values of a column in a group as an array, in the order of another one. -#}
{% macro collect(column, order_by) -%}
    {{ adapter.dispatch("collect")(column, order_by) }}
{%- endmacro %}

{% macro default__collect(column, order_by) -%}
    array_agg({{ column }} order by {{ order_by }})
{%- endmacro %}


{#- Number of elements of an array. -#}
{% macro array_size(column) -%}
    {{ adapter.dispatch("array_size")(column) }}
{%- endmacro %}

{% macro default__array_size(column) -%}
    cardinality({{ column }})
{%- endmacro %}
