-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'week_start']}, {'columns': ['touched_at']}],
    pre_hook=[
        "{{ forget_later_weeks() }}",
        "{{ forget_listeners([ref('stg_silver__listens')]) }}",
    ],
    post_hook="{{ analyze() }}"
) }}

with

newest_batch as (

    select max(touched_at) as touched_at
    from {{ ref('int_pairs_touched') }}

),

{% if is_incremental() -%}
moved as (

    {{ first_weeks_to_build() | indent }}

),
{%- endif %}

listens as (

    {{ listens_of_later_weeks() | indent }}

),

new_artists as (

    select
        artists.user_id,
        artists.first_week as local_week,
        count(*) as new_artists
    from {{ ref('mart_listener_artists') }} as artists
    {%- if is_incremental() %}
        inner join moved
            on
                artists.user_id = moved.user_id
                and artists.first_week >= moved.local_week
    {%- endif %}
    group by artists.user_id, artists.first_week

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

streaks as (

    select
        user_id,
        local_week,
        max(days_in_a_row) as streak_days
    from runs
    group by user_id, local_week

),

weeks as (

    select
        user_id,
        local_week,
        cast(sum(listens) as bigint) as listens,
        cast(sum(ms_played) as bigint) as ms_played,
        cast(sum(skips) as bigint) as skips,
        cast(sum(recommended) as bigint) as recommended,
        cast(count(*) as integer) as active_days
    from days
    group by user_id, local_week

),

final as (

    select
        weeks.user_id,
        weeks.local_week as week_start,
        weeks.listens,
        cast(weeks.ms_played as double precision) / 60000 as minutes,
        weeks.skips,
        weeks.recommended,
        weeks.active_days,
        cast(streaks.streak_days as integer) as streak_days,
        top_artists.item_id as top_artist_id,
        top_tracks.item_id as top_track_id,
        coalesce(new_artists.new_artists, 0) as new_artists,
        newest_batch.touched_at
    from weeks
    cross join newest_batch
    inner join streaks on weeks.user_id = streaks.user_id and weeks.local_week = streaks.local_week
    {% for kind in ['artist', 'track'] -%}
    left join {{ ref('mart_recap_top_items') }} as top_{{ kind }}s
        on
            weeks.user_id = top_{{ kind }}s.user_id
            and weeks.local_week = top_{{ kind }}s.week_start
            and top_{{ kind }}s.item_kind = '{{ kind }}'
            and top_{{ kind }}s.rank = 1
    {% endfor -%}
    left join new_artists on weeks.user_id = new_artists.user_id and weeks.local_week = new_artists.local_week

)

select * from final
