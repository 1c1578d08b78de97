-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[
        {'columns': ['user_id', 'item_id']}, {'columns': ['touched_at']}, {'columns': ['local_week']},
        {'columns': ['user_id', 'local_week']}, {'columns': ['user_id', 'artist_id']},
    ],
    pre_hook=[
        "{{ forget_touched(['listens', 'songs', 'albums', 'zones']) }}",
        "{{ forget_listeners(ref('int_listeners_forgotten')) }}",
    ],
    post_hook="{{ analyze() }}"
) }}

with

{% if is_incremental() -%}
touched as (

    {{ pairs_to_build(['listens', 'songs', 'albums', 'zones']) | indent }}

),

listens as (

    select listens.*
    from {{ ref('int_listens_deduplicated') }} as listens
    inner join touched
        on
            listens.user_id = touched.user_id
            and listens.item_id = touched.item_id

),
{%- else -%}
listens as (

    select * from {{ ref('int_listens_deduplicated') }}

),
{%- endif %}

tracks as (

    select * from {{ ref('dim_track') }}

),

albums as (

    select * from {{ ref('dim_album') }}

),

zones as (

    select * from {{ ref('stg_source__listener_zones') }}

),

placed as (

    select
        listens.listen_id,
        listens.user_id,
        listens.item_id,
        listens.source_item_id,
        case when listens.item_kind = 'track' then listens.item_id end as track_id,
        case
            when listens.item_kind = 'artist' then listens.item_id
            else coalesce(tracks.artist_id, albums.artist_id)
        end as artist_id,
        listens.listened_at,
        {{ date_key('listens.listened_at') }} as date_key,
        {{ local_time('listens.listened_at', "coalesce(zones.time_zone, 'UTC')") }} as local_at,
        listens.ms_played,
        coalesce(
            listens.ms_played < {{ var('skip_below_ms') }} and listens.ms_played * 2 < tracks.duration_ms, false
        ) as is_skip,
        listens.source,
        listens.context,
        listens.recommendation_id,
        case when listens.recommendation_id is null then 'organic' else 'recommended' end as origin,
        listens.event_id
    from listens
    left join tracks on listens.item_id = tracks.track_id
    left join albums on listens.item_id = albums.album_id
    left join zones on listens.user_id = zones.user_id

),

final as (

    select
        placed.listen_id,
        placed.user_id,
        placed.item_id,
        placed.source_item_id,
        placed.track_id,
        placed.artist_id,
        placed.listened_at,
        placed.date_key,
        cast(placed.local_at as date) as local_date,
        {{ week_of('cast(placed.local_at as date)') }} as local_week,
        {{ time_key('placed.local_at') }} as local_time_key,
        placed.ms_played,
        placed.is_skip,
        placed.source,
        placed.context,
        placed.recommendation_id,
        placed.origin,
        placed.event_id,
        {{ this_batch() }} as touched_at
    from placed

)

select * from final
