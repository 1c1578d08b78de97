with

items as (

    select * from {{ ref('int_items_unioned') }}

),

catalogue as (

    select * from {{ ref('stg_silver__songs') }}

),

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

facts as (

    select
        *,
        row_number() over (partition by track_id order by fetched_at desc, source asc) as place
    from {{ ref('stg_source__tracks') }}

),

described as (

    select
        items.item_id as track_id,
        coalesce(catalogue.track_name, facts.track_name) as track_name,
        coalesce(catalogue.artist_id, facts.artist_id) as artist_id,
        coalesce(catalogue.album_id, facts.album_id) as album_id,
        coalesce(catalogue.duration_ms, facts.duration_ms) as duration_ms,
        catalogue.genre,
        {{ popularity_band('facts.popularity') }} as popularity_band,
        items.in_catalog
    from items
    left join catalogue on items.item_id = catalogue.track_id
    left join facts on items.item_id = facts.track_id and facts.place = 1
    where items.item_kind = 'track'

),

final as (

    select
        described.track_id,
        described.track_name,
        coalesce(artist.canonical_id, described.artist_id) as artist_id,
        coalesce(album.canonical_id, described.album_id) as album_id,
        described.duration_ms,
        described.genre,
        described.popularity_band,
        described.in_catalog
    from described
    left join canonical as artist on described.artist_id = artist.item_id
    left join canonical as album on described.album_id = album.item_id

)

select * from final
