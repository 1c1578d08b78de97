-- noqa: disable=layout.indent,structure.unused_cte
{{ config(
    materialized='incremental', incremental_strategy='append', full_refresh=false,
    indexes=[{'columns': ['touched_at']}, {'columns': ['activity', 'load_id']}],
    pre_hook="{% if is_incremental() %}delete from {{ this }} where user_id is not null and touched_at < "
        "{{ dbt.dateadd('day', -7, this_moment()) }}{% endif %}",
    post_hook="{{ analyze() }}"
) }}

with

{% set events = {
    'listens': ('stg_silver__listens', 'listened_at'),
    'views': ('stg_silver__views', 'viewed_at'),
    'clicks': ('stg_silver__clicks', 'clicked_at'),
} -%}
{% set described = {'songs': ('stg_silver__songs', 'track_id'), 'albums': ('stg_silver__albums', 'album_id')} -%}
{% set long_ago = "'1970-01-01 00:00:00+00'" -%}

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

zones as (

    select * from {{ ref('stg_source__listener_zones') }}

),

{% for activity, (model, _) in events.items() -%}
{{ activity }} as (

    select * from {{ ref(model) }}

),

{% endfor -%}

{% for name, (model, _) in described.items() -%}
{{ name }} as (

    select * from {{ ref(model) }}

),

{% endfor -%}

{% if is_incremental() -%}
found as (

    {% for activity, (_, moment) in events.items() %}
        select
            '{{ activity }}' as activity,
            {{ activity }}.user_id,
            coalesce(canonical.canonical_id, {{ activity }}.item_id) as item_id,
            {{ activity }}.{{ moment }} as happened_at,
            {{ activity }}.load_id
        from {{ activity }}
        left join canonical on {{ activity }}.item_id = canonical.item_id
        where {{ activity }}.load_id > {{ newest(this, 'load_id', '0', "activity = '" ~ activity ~ "'") }}
        union all
        -- A link was made or taken back: both the item it led to and the one it leads to.
        select
            '{{ activity }}' as activity,
            {{ activity }}.user_id,
            stands_for.item_id,
            {{ activity }}.{{ moment }} as happened_at,
            0 as load_id
        from (
            select
                item_id as named_id,
                canonical_id as item_id
            from canonical
            where changed_at > {{ newest(this, 'touched_at', long_ago) }}
            union all
            select
                item_id as named_id,
                previous_canonical_id as item_id
            from canonical
            where changed_at > {{ newest(this, 'touched_at', long_ago) }}
        ) as stands_for
        inner join {{ activity }} on stands_for.named_id = {{ activity }}.item_id
        union all
    {%- endfor %}
    -- The catalogue says something else of an item: its listens look it up again.
    {%- for name, (_, key) in described.items() %}
        select
            '{{ name }}' as activity,
            listens.user_id,
            coalesce(canonical.canonical_id, {{ name }}.{{ key }}) as item_id,
            listens.listened_at as happened_at,
            {{ name }}.load_id
        from {{ name }}
        left join canonical on {{ name }}.{{ key }} = canonical.item_id
        left join listens on {{ name }}.{{ key }} = listens.item_id
        where {{ name }}.load_id > {{ newest(this, 'load_id', '0', "activity = '" ~ name ~ "'") }}
        union all
    {%- endfor %}
    select
        'zones' as activity,
        listens.user_id,
        coalesce(canonical.canonical_id, listens.item_id) as item_id,
        listens.listened_at as happened_at,
        0 as load_id
    from zones
    inner join listens on zones.user_id = listens.user_id
    left join canonical on listens.item_id = canonical.item_id
    where zones.updated_at > {{ newest(this, 'touched_at', long_ago) }}

),
{%- else -%}
-- The first build is of everything, so it only remembers how far it went.
found as (

    {% for activity in (events.keys() | list) + (described.keys() | list) %}
        select
            '{{ activity }}' as activity,
            cast(null as {{ dbt.type_string() }}) as user_id,
            cast(null as {{ dbt.type_string() }}) as item_id,
            cast(null as {{ type_moment() }}) as happened_at,
            coalesce(max(load_id), 0) as load_id
        from {{ activity }}
        {%- if not loop.last %}
            union all
        {%- endif %}
    {% endfor %}
),
{%- endif %}

final as (

    select
        activity,
        user_id,
        case when user_id is not null then item_id end as item_id,
        {{ local_date('happened_at', "'UTC'") }} as day_touched,
        max(load_id) as load_id,
        {{ this_moment() }} as touched_at
    from found
    group by 1, 2, 3, 4

)

select * from final
