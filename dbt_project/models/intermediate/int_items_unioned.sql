with

artists as (

    select * from {{ ref('stg_silver__artists') }}

),

albums as (

    select * from {{ ref('stg_silver__albums') }}

),

songs as (

    select * from {{ ref('stg_silver__songs') }}

),

track_facts as (

    select * from {{ ref('stg_source__tracks') }}

),

album_facts as (

    select * from {{ ref('stg_source__albums') }}

),

credits as (

    select * from {{ ref('stg_source__track_artists') }}

),

tags as (

    select * from {{ ref('stg_source__tags') }}

),

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

mentions as (

    select
        artist_id as item_id,
        true as in_catalog
    from artists
    union all
    select
        album_id as item_id,
        true as in_catalog
    from albums
    union all
    select
        track_id as item_id,
        true as in_catalog
    from songs
    {%- for relation, column in [
        ('albums', 'artist_id'),
        ('songs', 'artist_id'),
        ('songs', 'album_id'),
        ('album_facts', 'artist_id'),
        ('track_facts', 'artist_id'),
        ('track_facts', 'album_id'),
        ('credits', 'track_id'),
        ('credits', 'artist_id'),
        ('tags', 'item_id'),
    ] %}
        union all
        select
            {{ column }} as item_id,
            false as in_catalog
        from {{ relation }}
        where {{ column }} is not null
    {%- endfor %}
    union all
    select
        item_id,
        false as in_catalog
    from {{ ref('int_items_mentioned') }}

),

named as (

    select
        coalesce(canonical.canonical_id, mentions.item_id) as item_id,
        mentions.in_catalog
    from mentions
    left join canonical on mentions.item_id = canonical.item_id

),

final as (

    select
        item_id,
        {{ item_kind('item_id') }} as item_kind,
        {{ dbt.bool_or('in_catalog') }} as in_catalog
    from named
    group by item_id

)

select * from final
