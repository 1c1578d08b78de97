with

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

ratings as (

    select
        ratings.event_id,
        ratings.user_id,
        coalesce(canonical.canonical_id, ratings.item_id) as item_id,
        ratings.rating,
        ratings.rated_at,
        ratings.source,
        ratings.context,
        ratings.recommendation_id,
        ratings.kafka_offset
    from {{ ref('stg_silver__ratings') }} as ratings
    left join canonical on ratings.item_id = canonical.item_id

),

final as (

    select
        event_id,
        user_id,
        item_id,
        rating,
        rated_at,
        {{ date_key('rated_at') }} as date_key,
        row_number() over (
            partition by user_id, item_id
            order by rated_at desc, kafka_offset desc, event_id asc
        ) = 1 as is_latest,
        source,
        context,
        recommendation_id
    from ratings

)

select * from final
