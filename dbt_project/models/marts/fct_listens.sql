with

listens as (

    select * from {{ ref('int_listens_deduplicated') }}

),

tracks as (

    select * from {{ ref('dim_track') }}

),

albums as (

    select * from {{ ref('dim_album') }}

),

final as (

    select
        listens.listen_id,
        listens.user_id,
        listens.item_id,
        case when listens.item_kind = 'track' then listens.item_id end as track_id,
        case
            when listens.item_kind = 'artist' then listens.item_id
            else coalesce(tracks.artist_id, albums.artist_id)
        end as artist_id,
        listens.listened_at,
        {{ date_key('listens.listened_at') }} as date_key,
        listens.ms_played,
        listens.source,
        listens.context,
        listens.recommendation_id,
        listens.event_id
    from listens
    left join tracks on listens.item_id = tracks.track_id
    left join albums on listens.item_id = albums.album_id

)

select * from final
