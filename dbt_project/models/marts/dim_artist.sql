with

items as (

    select * from {{ ref('int_items_unioned') }}

),

catalogue as (

    select * from {{ ref('stg_silver__artists') }}

),

facts as (

    select
        *,
        row_number() over (partition by artist_id order by fetched_at desc, source asc) as place
    from {{ ref('stg_source__artists') }}

),

described as (

    select
        items.item_id as artist_id,
        coalesce(catalogue.artist_name, facts.artist_name) as artist_name,
        catalogue.genre,
        catalogue.country,
        {{ popularity_band('facts.popularity') }} as popularity_band,
        items.in_catalog
    from items
    left join catalogue on items.item_id = catalogue.artist_id
    left join facts on items.item_id = facts.artist_id and facts.place = 1
    where items.item_kind = 'artist'

),

final as (

    select * from described

)

select * from final
