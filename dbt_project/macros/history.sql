-- noqa: disable=layout.indent
{#-
    Versions of a dimension's rows (type 2), from its current rows: an item whose attributes differ from its open version
    closes that one and opens another; one that is gone closes its version. Merged by hand, because snapshots work on
    one dialect less. The first version holds since 1970, so that an earlier fact finds one.
-#}
{% macro history_of(relation, key, attributes) -%}
with

now_known as (

    select
        {{ key }},
        {{ attributes | join(",\n        ") }},
        {{ this_moment() }} as known_at
    from {{ relation }}

),

{% if is_incremental() -%}
held as (

    select * from {{ this }}
    where is_current

),

known_before as (

    select distinct {{ key }}
    from {{ this }}

),

closed as (

    select
        held.{{ key }},
        {%- for attribute in attributes %}
            held.{{ attribute }},
        {%- endfor %}
        held.valid_from,
        {{ this_moment() }} as valid_to,
        false as is_current
    from held
    left join now_known on held.{{ key }} = now_known.{{ key }}
    where now_known.{{ key }} is null or {{ differs("held", "now_known", attributes) }}

),

opened as (

    select
        now_known.{{ key }},
        {%- for attribute in attributes %}
            now_known.{{ attribute }},
        {%- endfor %}
        case
            when known_before.{{ key }} is null then {{ utc_moment("1970-01-01 00:00:00") }}
            else now_known.known_at
        end as valid_from,
        cast(null as {{ type_moment() }}) as valid_to,
        true as is_current
    from now_known
    left join held on now_known.{{ key }} = held.{{ key }}
    left join known_before on now_known.{{ key }} = known_before.{{ key }}
    where held.{{ key }} is null or {{ differs("held", "now_known", attributes) }}

),

final as (

    select * from closed
    union all
    select * from opened

)
{%- else -%}
final as (

    select
        {{ key }},
        {{ attributes | join(",\n        ") }},
        {{ utc_moment("1970-01-01 00:00:00") }} as valid_from,
        cast(null as {{ type_moment() }}) as valid_to,
        true as is_current
    from now_known

)
{%- endif %}

select * from final
{%- endmacro %}


{#- Whether any of the columns differs between two relations; NULL equals NULL. -#}
{% macro differs(left, right, columns) -%}
    (
    {%- for column in columns %}
        {{ left }}.{{ column }} is distinct from {{ right }}.{{ column }}
        {{- " or" if not loop.last }}
    {%- endfor %}
    )
{%- endmacro %}
