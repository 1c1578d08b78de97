with

items as (

    select * from {{ ref('int_items_unioned') }}

),

songs as (

    select * from {{ ref('stg_silver__songs') }}

),

final as (

    select
        items.item_id as track_id,
        songs.track_name,
        songs.artist_id,
        songs.album_id,
        songs.duration_ms,
        songs.genre,
        items.in_catalog
    from items
    left join songs on items.item_id = songs.track_id
    where items.item_kind = 'track'

)

select * from final
