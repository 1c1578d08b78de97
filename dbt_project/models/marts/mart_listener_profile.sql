-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['touched_at']}],
    pre_hook=[
        "{{ forget_moved(ref('mart_recap_facts'), 'user_id') }}",
        "{{ forget_listeners(ref('int_listeners_forgotten')) }}",
    ]
) }}

with

{% if is_incremental() -%}
touched as (

    {{ moved_since(ref('mart_recap_facts'), 'user_id') | indent }}

),
{%- endif %}

weeks as (

    select weeks.*
    from {{ ref('mart_recap_facts') }} as weeks
    {%- if is_incremental() %}
        inner join touched on weeks.user_id = touched.user_id
    {%- endif %}

),

summed as (

    select
        user_id,
        cast(sum(listens) as bigint) as listens,
        sum(minutes) as minutes,
        cast(count(*) as integer) as active_weeks,
        cast(sum(active_days) as integer) as active_days,
        min(week_start) as first_week,
        max(week_start) as last_week,
        cast(sum(new_artists) as bigint) as artists,
        cast(sum(skips) as double precision) / sum(listens) as skip_share,
        cast(sum(recommended) as double precision) / sum(listens) as recommended_share
    from weeks
    group by user_id

),

favourites as (

    {{ favourite_artists('summed') | indent }}

),

final as (

    select
        summed.user_id,
        summed.listens,
        summed.minutes,
        summed.active_weeks,
        summed.active_days,
        summed.first_week,
        summed.last_week,
        summed.artists,
        favourites.artist_id as favourite_artist_id,
        favourites.listens as favourite_artist_listens,
        summed.skip_share,
        summed.recommended_share,
        {{ this_batch() }} as touched_at
    from summed
    left join favourites on summed.user_id = favourites.user_id

)

select * from final
