-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['week_start', 'item_kind', 'rank']}, {'columns': ['touched_at']}],
    pre_hook="{{ forget_weeks() }}", post_hook="{{ analyze() }}"
) }}

{% set weeks = chart_weeks_to_build() if is_incremental() -%}

with

listens as (

    select
        user_id,
        artist_id,
        track_id,
        local_week
    from {{ ref('fct_listens') }}
    {%- if is_incremental() %}
        where local_week in ({{ weeks }})
    {%- endif %}

),

plays as (

    {% for kind in ['artist', 'track'] -%}
        select
            '{{ kind }}' as item_kind,
            {{ kind }}_id as item_id,
            local_week as week_start,
            user_id,
            count(*) as listens
        from listens
        where {{ kind }}_id is not null
        group by {{ kind }}_id, local_week, user_id
        {%- if not loop.last %}
            union all
        {% endif %}
    {%- endfor %}

),

counted as (

    select
        item_kind,
        item_id,
        week_start,
        cast(sum(listens) as bigint) as listens,
        count(*) as listeners
    from plays
    group by item_kind, item_id, week_start

),

ranked as (

    select
        *,
        cast(row_number() over (
            partition by item_kind, week_start order by listens desc, listeners desc, item_id asc
        ) as integer) as place
    from counted

),

placed as (

    select * from ranked
    {%- if is_incremental() %}
        -- A week before those that are built again stands as it is: counting its listens would say the same.
        union all
        select
            item_kind,
            item_id,
            week_start,
            listens,
            listeners,
            rank as place
        from {{ this }}
        where
            week_start in ({{ chart_weeks_to_build(looked_at=true) }})
            and week_start not in ({{ weeks }})
    {%- endif %}

),

-- Not by a join with the week before: nothing is known of such a row's number, and the planner would guess.
followed as (

    select
        *,
        lag(week_start) over (partition by item_kind, item_id order by week_start) as week_before,
        lag(place) over (partition by item_kind, item_id order by week_start) as place_before
    from placed

),

final as (

    select
        followed.item_kind,
        followed.item_id,
        followed.week_start,
        followed.place as rank,
        case
            when followed.week_start = {{ dbt.dateadd('day', 7, 'followed.week_before') }}
                then followed.place_before
        end as previous_rank,
        followed.listens,
        followed.listeners,
        {{ this_batch() }} as touched_at
    from followed
    {%- if is_incremental() %}
        where followed.week_start in ({{ weeks }})
    {%- endif %}

)

select * from final
