{#- Identity of a play: a hash of listener, item and second. -#}
{% macro play_id(user_id, item_id, moment) -%}
    {{ dbt.hash(dbt.concat([user_id, "'|'", item_id, "'|'", epoch_second(moment)])) }}
{%- endmacro %}


{#- Whole seconds since 1970 as text. -#}
{% macro epoch_second(moment) -%}
    {{ adapter.dispatch("epoch_second")(moment) }}
{%- endmacro %}

{% macro default__epoch_second(moment) -%}
    cast(cast(floor(extract(epoch from {{ moment }})) as bigint) as {{ dbt.type_string() }})
{%- endmacro %}
