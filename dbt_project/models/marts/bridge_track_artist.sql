with

tracks as (

    select * from {{ ref('dim_track') }}

),

credits as (

    select * from {{ ref('stg_source__track_artists') }}

),

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

-- Where no source credits the artists of a track, its main artist is all that is known.
named as (

    select
        coalesce(track.canonical_id, credits.track_id) as track_id,
        coalesce(artist.canonical_id, credits.artist_id) as artist_id,
        min(credits.position) as position
    from credits
    left join canonical as track on credits.track_id = track.item_id
    left join canonical as artist on credits.artist_id = artist.item_id
    group by 1, 2
    union all
    select
        track_id,
        artist_id,
        -1 as position
    from tracks
    where artist_id is not null

),

ordered as (

    select
        track_id,
        artist_id,
        min(position) as position
    from named
    group by track_id, artist_id

),

final as (

    select
        track_id,
        artist_id,
        cast(row_number() over (partition by track_id order by position, artist_id) as integer) as position
    from ordered

)

select * from final
