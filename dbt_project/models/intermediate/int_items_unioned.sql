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
    union all
    select
        artist_id as item_id,
        false as in_catalog
    from albums
    where artist_id is not null
    union all
    select
        artist_id as item_id,
        false as in_catalog
    from songs
    where artist_id is not null
    union all
    select
        album_id as item_id,
        false as in_catalog
    from songs
    where album_id is not null
    {%- for model in [
        'int_listens_deduplicated',
        'stg_silver__views',
        'stg_silver__clicks',
        'stg_silver__ratings',
        'int_recommendations_unnested',
    ] %}
        union all
        select distinct
            item_id,
            false as in_catalog
        from {{ ref(model) }}
    {%- endfor %}

),

final as (

    select
        item_id,
        {{ item_kind('item_id') }} as item_kind,
        {{ dbt.bool_or('in_catalog') }} as in_catalog
    from mentions
    group by item_id

)

select * from final
