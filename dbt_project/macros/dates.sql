{#- Integer YYYYMMDD of a moment's day in UTC, whatever the session's time zone: the key of `dim_date`. -#}
{% macro date_key(moment) -%}
    {{ day_key(local_date(moment, "'UTC'")) }}
{%- endmacro %}


{#- Integer YYYYMMDD of a day. -#}
{% macro day_key(day) -%}
    cast(to_char({{ day }}, 'YYYYMMDD') as integer)
{%- endmacro %}


{#- What the clock on the wall shows at a moment, in an IANA time zone. -#}
{% macro local_time(moment, zone) -%}
    {{ adapter.dispatch("local_time")(moment, zone) }}
{%- endmacro %}

{% macro default__local_time(moment, zone) -%}
    ({{ moment }} at time zone {{ zone }})
{%- endmacro %}

{% macro snowflake__local_time(moment, zone) -%}
    cast(convert_timezone({{ zone }}, {{ moment }}) as timestamp_ntz)
{%- endmacro %}


{#- The day of a moment in an IANA time zone. -#}
{% macro local_date(moment, zone) -%}
    cast({{ local_time(moment, zone) }} as date)
{%- endmacro %}


{#- The Monday that an ISO week begins with. -#}
{% macro week_of(day) -%}
    {{ adapter.dispatch("week_of")(day) }}
{%- endmacro %}

{% macro default__week_of(day) -%}
    cast(date_trunc('week', {{ day }}) as date)
{%- endmacro %}

{#- Not `date_trunc`: the account decides there on which day a week begins. -#}
{% macro snowflake__week_of(day) -%}
    cast(dateadd('day', 1 - dayofweekiso({{ day }}), {{ day }}) as date)
{%- endmacro %}


{#- Hours and minutes of a clock as HHMM: the key of `dim_time`. -#}
{% macro time_key(local_time) -%}
    cast(extract(hour from {{ local_time }}) * 100 + extract(minute from {{ local_time }}) as integer)
{%- endmacro %}


{#- A moment with the zone UTC, from text. -#}
{% macro utc_moment(text) -%}
    cast('{{ text }}+00:00' as {{ type_moment() }})
{%- endmacro %}


{#- The type of a moment. -#}
{% macro type_moment() -%}
    timestamp with time zone
{%- endmacro %}


{#- Now, with its zone. -#}
{% macro this_moment() -%}
    cast({{ dbt.current_timestamp() }} as {{ type_moment() }})
{%- endmacro %}


{#- ISO year and week of a day, such as 2024-W09. -#}
{% macro iso_week(day) -%}
    {{ adapter.dispatch("iso_week")(day) }}
{%- endmacro %}

{% macro default__iso_week(day) -%}
    to_char({{ day }}, 'IYYY"-W"IW')
{%- endmacro %}

{% macro snowflake__iso_week(day) -%}
    yearofweekiso({{ day }}) || '-W' || lpad(cast(weekiso({{ day }}) as varchar), 2, '0')
{%- endmacro %}
