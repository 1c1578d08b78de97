with

items as (

    select * from {{ ref('int_items_unioned') }}

),

artists as (

    select * from {{ ref('stg_silver__artists') }}

),

final as (

    select
        items.item_id as artist_id,
        artists.artist_name,
        artists.genre,
        artists.country,
        items.in_catalog
    from items
    left join artists on items.item_id = artists.artist_id
    where items.item_kind = 'artist'

)

select * from final
