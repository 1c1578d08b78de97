with

tags as (

    select * from {{ ref('stg_source__tags') }}

),

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

named as (

    select
        coalesce(canonical.canonical_id, tags.item_id) as artist_id,
        lower(trim(tags.tag)) as tag,
        tags.weight
    from tags
    left join canonical on tags.item_id = canonical.item_id

),

final as (

    select
        artist_id,
        tag,
        max(weight) as weight
    from named
    where {{ item_kind('artist_id') }} = 'artist'
    group by artist_id, tag

)

select * from final
