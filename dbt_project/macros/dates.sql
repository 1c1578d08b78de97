{#- Integer YYYYMMDD of a moment's day in UTC, whatever the session's time zone: the key of `dim_date`. -#}
{% macro date_key(moment) -%}
    {{ adapter.dispatch("date_key")(moment) }}
{%- endmacro %}

{% macro default__date_key(moment) -%}
    cast(to_char({{ moment }} at time zone 'UTC', 'YYYYMMDD') as integer)
{%- endmacro %}
