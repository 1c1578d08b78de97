-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key=['user_id', 'week_start'],
    on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'week_start']}, {'columns': ['touched_at']}],
    pre_hook="{{ forget_listeners([ref('stg_silver__listens')]) }}"
) }}

with

newest_batch as (

    select max(touched_at) as touched_at
    from {{ ref('int_pairs_touched') }}

),

{% if is_incremental() -%}
moved as (

    select
        user_id,
        min(local_week) as local_week
    from (
        {{ weeks_to_build() | indent(8) }}
    ) as weeks_of_listeners
    group by user_id

),

-- The later weeks as well: whom a listener met earlier than thought is no longer new in them.
listens as (

    select listens.*
    from {{ ref('fct_listens') }} as listens
    inner join moved
        on
            listens.user_id = moved.user_id
            and listens.local_week >= moved.local_week

),

met as (

    select
        user_id,
        artist_id,
        min(local_week) as local_week
    from listens
    where artist_id is not null
    group by user_id, artist_id

),

new_artists as (

    select
        met.user_id,
        met.local_week,
        count(*) as new_artists
    from met
    where
        not exists (
            select 1
            from {{ ref('fct_listens') }} as earlier
            where
                met.user_id = earlier.user_id
                and met.artist_id = earlier.artist_id
                and earlier.local_week < met.local_week
        )
    group by met.user_id, met.local_week

),
{%- else -%}
listens as (

    select * from {{ ref('fct_listens') }}

),

met as (

    select
        user_id,
        artist_id,
        min(local_week) as local_week
    from listens
    where artist_id is not null
    group by user_id, artist_id

),

new_artists as (

    select
        user_id,
        local_week,
        count(*) as new_artists
    from met
    group by user_id, local_week

),
{%- endif %}

{% for kind in ['artist', 'track'] -%}
{{ kind }}_counts as (

    select
        user_id,
        local_week,
        {{ kind }}_id,
        count(*) as listens
    from listens
    where {{ kind }}_id is not null
    group by user_id, local_week, {{ kind }}_id

),

{{ kind }}_places as (

    select
        *,
        row_number() over (partition by user_id, local_week order by listens desc, {{ kind }}_id asc) as place
    from {{ kind }}_counts

),

top_{{ kind }}s as (

    select
        user_id,
        local_week,
        {{ kind }}_id as top_{{ kind }}_id
    from {{ kind }}_places
    where place = 1

),

{% endfor -%}

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
        top_artists.top_artist_id,
        top_tracks.top_track_id,
        coalesce(new_artists.new_artists, 0) as new_artists,
        newest_batch.touched_at
    from weeks
    cross join newest_batch
    inner join streaks on weeks.user_id = streaks.user_id and weeks.local_week = streaks.local_week
    left join top_artists on weeks.user_id = top_artists.user_id and weeks.local_week = top_artists.local_week
    left join top_tracks on weeks.user_id = top_tracks.user_id and weeks.local_week = top_tracks.local_week
    left join new_artists on weeks.user_id = new_artists.user_id and weeks.local_week = new_artists.local_week

)

select * from final
