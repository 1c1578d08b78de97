with

items as (

    select * from {{ ref('int_items_unioned') }}

),

catalogue as (

    select * from {{ ref('stg_silver__albums') }}

),

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

facts as (

    select
        *,
        row_number() over (partition by album_id order by fetched_at desc, source asc) as place
    from {{ ref('stg_source__albums') }}

),

described as (

    select
        items.item_id as album_id,
        coalesce(catalogue.album_name, facts.album_name) as album_name,
        coalesce(catalogue.artist_id, facts.artist_id) as artist_id,
        coalesce(catalogue.release_date, facts.release_date) as release_date,
        items.in_catalog
    from items
    left join catalogue on items.item_id = catalogue.album_id
    left join facts on items.item_id = facts.album_id and facts.place = 1
    where items.item_kind = 'album'

),

final as (

    select
        described.album_id,
        described.album_name,
        coalesce(canonical.canonical_id, described.artist_id) as artist_id,
        described.release_date,
        described.in_catalog
    from described
    left join canonical on described.artist_id = canonical.item_id

)

select * from final
