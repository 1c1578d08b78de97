-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'week_start']}, {'columns': ['touched_at']}],
    pre_hook=["{{ forget_later_weeks() }}", "{{ forget_listeners(ref('int_listeners_forgotten')) }}"],
    post_hook="{{ analyze() }}"
) }}

with

{% if is_incremental() -%}
moved as (

    {{ first_weeks_to_build() | indent }}

),
{%- endif %}

listens as (

    {{ listens_of_later_weeks() | indent }}

),

days as (

    select
        user_id,
        local_week,
        local_date,
        count(*) as listens,
        coalesce(sum(ms_played), 0) as ms_played,
        sum(case when is_skip then 1 else 0 end) as skips,
        sum(case when origin = 'recommended' then 1 else 0 end) as recommended
    from listens
    group by user_id, local_week, local_date

),

-- Days in a row have the same distance to their number.
numbered as (

    select
        *,
        {{ dbt.dateadd(
            'day', '-1 * cast(row_number() over (partition by user_id, local_week order by local_date) as integer)',
            'local_date'
        ) }} as run_of_days
    from days

),

runs as (

    select
        user_id,
        local_week,
        run_of_days,
        count(*) as days_in_a_row
    from numbered
    group by user_id, local_week, run_of_days

),

-- One sum of parts and no joins between them: nothing is known of their numbers of rows, and the planner would guess.
parts as (

    select
        user_id,
        local_week,
        sum(listens) as listens,
        sum(ms_played) as ms_played,
        sum(skips) as skips,
        sum(recommended) as recommended,
        count(*) as active_days,
        0 as streak_days,
        0 as new_artists,
        cast(null as {{ dbt.type_string() }}) as top_artist_id,
        cast(null as {{ dbt.type_string() }}) as top_track_id
    from days
    group by user_id, local_week
    union all
    select
        user_id,
        local_week,
        0 as listens,
        0 as ms_played,
        0 as skips,
        0 as recommended,
        0 as active_days,
        max(days_in_a_row) as streak_days,
        0 as new_artists,
        cast(null as {{ dbt.type_string() }}) as top_artist_id,
        cast(null as {{ dbt.type_string() }}) as top_track_id
    from runs
    group by user_id, local_week
    union all
    select
        artists.user_id,
        artists.first_week as local_week,
        0 as listens,
        0 as ms_played,
        0 as skips,
        0 as recommended,
        0 as active_days,
        0 as streak_days,
        count(*) as new_artists,
        cast(null as {{ dbt.type_string() }}) as top_artist_id,
        cast(null as {{ dbt.type_string() }}) as top_track_id
    from {{ ref('mart_listener_artists') }} as artists
    {%- if is_incremental() %}
        inner join moved
            on
                artists.user_id = moved.user_id
                and artists.first_week >= moved.local_week
    {%- endif %}
    group by artists.user_id, artists.first_week
    union all
    select
        items.user_id,
        items.week_start as local_week,
        0 as listens,
        0 as ms_played,
        0 as skips,
        0 as recommended,
        0 as active_days,
        0 as streak_days,
        0 as new_artists,
        case when items.item_kind = 'artist' then items.item_id end as top_artist_id,
        case when items.item_kind = 'track' then items.item_id end as top_track_id
    from {{ ref('mart_recap_top_items') }} as items
    {%- if is_incremental() %}
        inner join moved
            on
                items.user_id = moved.user_id
                and items.week_start >= moved.local_week
    {%- endif %}
    where items.rank = 1

),

weeks as (

    select
        user_id,
        local_week,
        cast(sum(listens) as bigint) as listens,
        cast(sum(ms_played) as double precision) / 60000 as minutes,
        cast(sum(skips) as bigint) as skips,
        cast(sum(recommended) as bigint) as recommended,
        cast(sum(active_days) as integer) as active_days,
        cast(sum(streak_days) as integer) as streak_days,
        max(top_artist_id) as top_artist_id,
        max(top_track_id) as top_track_id,
        cast(sum(new_artists) as bigint) as new_artists
    from parts
    group by user_id, local_week

),

final as (

    select
        weeks.user_id,
        weeks.local_week as week_start,
        weeks.listens,
        weeks.minutes,
        weeks.skips,
        weeks.recommended,
        weeks.active_days,
        weeks.streak_days,
        weeks.top_artist_id,
        weeks.top_track_id,
        weeks.new_artists,
        {{ this_batch() }} as touched_at
    from weeks

)

select * from final
