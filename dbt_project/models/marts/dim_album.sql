with

items as (

    select * from {{ ref('int_items_unioned') }}

),

albums as (

    select * from {{ ref('stg_silver__albums') }}

),

final as (

    select
        items.item_id as album_id,
        albums.album_name,
        albums.artist_id,
        albums.release_date,
        items.in_catalog
    from items
    left join albums on items.item_id = albums.album_id
    where items.item_kind = 'album'

)

select * from final
