-- noqa: disable=layout.indent,structure.unused_cte
{{ config(
    materialized='incremental', incremental_strategy='append', full_refresh=false,
    indexes=[{'columns': ['touched_at']}, {'columns': ['activity', 'load_id']}],
    pre_hook="{{ forget_old_batches() }}",
    post_hook="{{ analyze() }}"
) }}

-- depends_on: {{ ref('stg_source__tracks') }}, {{ ref('stg_source__albums') }}

with

{% set events = {
    'listens': ('stg_silver__listens', 'listened_at'),
    'views': ('stg_silver__views', 'viewed_at'),
    'clicks': ('stg_silver__clicks', 'clicked_at'),
    'ratings': ('stg_silver__ratings', 'rated_at'),
} -%}
{% set described = {'songs': ('stg_silver__songs', 'track_id'), 'albums': ('stg_silver__albums', 'album_id')} -%}
{% set long_ago = "'1970-01-01 00:00:00+00'" -%}

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

zones as (

    select * from {{ ref('stg_source__listener_zones') }}

),

{% if is_incremental() -%}
-- A link was made or taken back: both the item it led to and the one it leads to. Tables of events are named where they
-- are read and in no common expression: one that is read twice would be copied as a whole.
stands_for as (

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

),

-- What is of an artist or album that stands for another one now: its listens name that one.
owned as (

    {% for model, key, owner in [
        ('stg_silver__songs', 'track_id', 'artist_id'),
        ('stg_silver__songs', 'track_id', 'album_id'),
        ('stg_silver__albums', 'album_id', 'artist_id'),
        ('stg_source__tracks', 'track_id', 'artist_id'),
        ('stg_source__albums', 'album_id', 'artist_id'),
    ] -%}
        select coalesce(canonical.canonical_id, described.{{ key }}) as item_id
        from {{ ref(model) }} as described
        inner join stands_for on described.{{ owner }} = stands_for.named_id
        left join canonical on described.{{ key }} = canonical.item_id
        {%- if not loop.last %}
            union
        {% endif %}
    {%- endfor %}

),

owned_names as (

    select
        item_id,
        item_id as named_id
    from owned
    union
    select
        owned.item_id,
        canonical.item_id as named_id
    from owned
    inner join canonical on owned.item_id = canonical.canonical_id

),

found as (

    {% for activity, (model, moment) in events.items() %}
        select
            '{{ activity }}' as activity,
            events.user_id,
            coalesce(canonical.canonical_id, events.item_id) as item_id,
            events.{{ moment }} as happened_at,
            events.load_id
        from {{ ref(model) }} as events
        left join canonical on events.item_id = canonical.item_id
        where events.load_id > {{ newest(this, 'load_id', '0', "activity = '" ~ activity ~ "'") }}
        union all
        select
            '{{ activity }}' as activity,
            events.user_id,
            stands_for.item_id,
            events.{{ moment }} as happened_at,
            0 as load_id
        from stands_for
        inner join {{ ref(model) }} as events on stands_for.named_id = events.item_id
        union all
    {%- endfor %}
    -- Answers show many items: the listener and the day are enough to find them.
        select
            'recommendations' as activity,
            user_id,
            cast(null as {{ dbt.type_string() }}) as item_id,
            shown_at as happened_at,
            load_id
        from {{ ref('stg_silver__recommendations') }}
        where load_id > {{ newest(this, 'load_id', '0', "activity = 'recommendations'") }}
        union all
        select
            'recommendations' as activity,
            answers.user_id,
            cast(null as {{ dbt.type_string() }}) as item_id,
            answers.shown_at as happened_at,
            0 as load_id
        from {{ ref('stg_silver__recommendations') }} as answers
        {{ unnest_shown('answers') }}
        inner join stands_for on shown.item_id = stands_for.named_id
        union all
    -- The catalogue says something else of an item: its listens look it up again.
    {%- for name, (model, key) in described.items() %}
        select
            '{{ name }}' as activity,
            listens.user_id,
            coalesce(canonical.canonical_id, {{ name }}.{{ key }}) as item_id,
            listens.listened_at as happened_at,
            {{ name }}.load_id
        from {{ ref(model) }} as {{ name }}
        left join canonical on {{ name }}.{{ key }} = canonical.item_id
        left join {{ ref('stg_silver__listens') }} as listens on {{ name }}.{{ key }} = listens.item_id
        where {{ name }}.load_id > {{ newest(this, 'load_id', '0', "activity = '" ~ name ~ "'") }}
        union all
    {%- endfor %}
    select
        'songs' as activity,
        listens.user_id,
        owned_names.item_id,
        listens.listened_at as happened_at,
        0 as load_id
    from owned_names
    inner join {{ ref('stg_silver__listens') }} as listens on owned_names.named_id = listens.item_id
    union all
    select
        'zones' as activity,
        listens.user_id,
        coalesce(canonical.canonical_id, listens.item_id) as item_id,
        listens.listened_at as happened_at,
        0 as load_id
    from zones
    inner join {{ ref('stg_silver__listens') }} as listens on zones.user_id = listens.user_id
    left join canonical on listens.item_id = canonical.item_id
    where zones.updated_at > {{ newest(this, 'touched_at', long_ago) }}

),
{%- else -%}
-- The first build is of everything, so it only remembers how far it went.
found as (

    {% for activity, model in {
        'listens': 'stg_silver__listens',
        'views': 'stg_silver__views',
        'clicks': 'stg_silver__clicks',
        'ratings': 'stg_silver__ratings',
        'recommendations': 'stg_silver__recommendations',
        'songs': 'stg_silver__songs',
        'albums': 'stg_silver__albums',
    }.items() %}
        select
            '{{ activity }}' as activity,
            cast(null as {{ dbt.type_string() }}) as user_id,
            cast(null as {{ dbt.type_string() }}) as item_id,
            cast(null as {{ type_moment() }}) as happened_at,
            coalesce(max(load_id), 0) as load_id
        from {{ ref(model) }}
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
