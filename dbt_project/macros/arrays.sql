{#- All values of a column in a group as an array, in the order of another one. -#}
{% macro collect(column, order_by) -%}
    {{ adapter.dispatch("collect")(column, order_by) }}
{%- endmacro %}

{% macro default__collect(column, order_by) -%}
    array_agg({{ column }} order by {{ order_by }})
{%- endmacro %}

{% macro snowflake__collect(column, order_by) -%}
    array_agg({{ column }}) within group (order by {{ order_by }})
{%- endmacro %}


{#- The first value in a group that is known, in the order of another column; NULL if none is. -#}
{% macro first_known(column, order_by) -%}
    {{ adapter.dispatch("first_known")(column, order_by) }}
{%- endmacro %}

{% macro default__first_known(column, order_by) -%}
    (array_agg({{ column }} order by {{ order_by }}) filter (where {{ column }} is not null))[1]
{%- endmacro %}

{#- Snowflake's aggregate leaves NULL out. -#}
{% macro snowflake__first_known(column, order_by) -%}
    min_by({{ column }}, case when {{ column }} is not null then {{ order_by }} end)
{%- endmacro %}


{#- An array of one value. -#}
{% macro array_of(value) -%}
    {{ adapter.dispatch("array_of")(value) }}
{%- endmacro %}

{% macro default__array_of(value) -%}
    array[{{ value }}]
{%- endmacro %}

{% macro snowflake__array_of(value) -%}
    array_construct({{ value }})
{%- endmacro %}


{#- Number of elements of an array. -#}
{% macro array_size(column) -%}
    {{ adapter.dispatch("array_size")(column) }}
{%- endmacro %}

{% macro default__array_size(column) -%}
    cardinality({{ column }})
{%- endmacro %}

{% macro snowflake__array_size(column) -%}
    array_size({{ column }})
{%- endmacro %}


{#- Join that makes a row `shown` (item_id, source, reason, propensity, position from 1) of every element of four
    arrays, of which the last may be NULL. -#}
{% macro unnest_shown(relation) -%}
    {{ adapter.dispatch("unnest_shown")(relation) }}
{%- endmacro %}

{% macro default__unnest_shown(relation) -%}
    cross join
        lateral unnest(
            {{ relation }}.item_ids, {{ relation }}.sources, {{ relation }}.reasons, {{ relation }}.propensities
        )
        with ordinality as shown (item_id, source, reason, propensity, position)
{%- endmacro %}

{% macro snowflake__unnest_shown(relation) -%}
    cross join lateral (
        select
            cast(element.value as varchar) as item_id,
            cast({{ relation }}.sources[element.index] as varchar) as source,
            cast({{ relation }}.reasons[element.index] as varchar) as reason,
            cast({{ relation }}.propensities[element.index] as double precision) as propensity,
            element.index + 1 as position
        from lateral flatten(input => {{ relation }}.item_ids) as element
    ) as shown
{%- endmacro %}
