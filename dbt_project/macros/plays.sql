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

{% macro snowflake__epoch_second(moment) -%}
    cast(date_part(epoch_second, {{ moment }}) as varchar)
{%- endmacro %}


{#- How much a source is believed where several tell of one play: 0 is believed most. -#}
{% macro source_rank(source) -%}
    case {{ source }}
    {%- for name in var("source_precedence") %}
        when '{{ name }}' then {{ loop.index0 }}
    {%- endfor %}
        else {{ var("source_precedence") | length }}
    end
{%- endmacro %}


{#- Whether two moments lie at most as far apart as two tellings of one play. -#}
{% macro same_session(earlier, later) -%}
    {{ dbt.dateadd('second', var("same_play_seconds"), earlier) }} >= {{ later }}
{%- endmacro %}
