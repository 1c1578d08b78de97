-- noqa: disable=layout.indent
{% set activities = {
    'stg_silver__listens': 'listened_at',
    'stg_silver__views': 'viewed_at',
    'stg_silver__clicks': 'clicked_at',
    'stg_silver__ratings': 'rated_at',
    'stg_silver__recommendations': 'shown_at',
} -%}
{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key=['user_id', 'activity'],
    on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'activity'], 'unique': true}, {'columns': ['activity', 'load_id']}]
) }}

with

-- Each load is read once: what it brings is added to what is known of a listener.
arrived as (

    {% for model, moment in activities.items() %}
        select
            '{{ model }}' as activity,
            user_id,
            count(*) as n_events,
            min({{ moment }}) as first_at,
            max({{ moment }}) as last_at,
            max(load_id) as load_id
        from {{ ref(model) }}
        {%- if is_incremental() %}
            where load_id > {{ newest(this, 'load_id', '-1', "activity = '" ~ model ~ "'") }}
        {%- endif %}
        group by user_id
        {%- if not loop.last %}
            union all
        {%- endif %}
    {% endfor %}
),

{% if is_incremental() -%}
known as (

    select * from arrived
    union all
    select
        held.activity,
        held.user_id,
        held.n_events,
        held.first_at,
        held.last_at,
        held.load_id
    from {{ this }} as held
    inner join arrived
        on
            held.user_id = arrived.user_id
            and held.activity = arrived.activity

),
{%- else -%}
known as (

    select * from arrived

),
{%- endif %}

final as (

    select
        activity,
        user_id,
        cast(sum(n_events) as bigint) as n_events,
        min(first_at) as first_at,
        max(last_at) as last_at,
        max(load_id) as load_id
    from known
    group by activity, user_id

)

select * from final
