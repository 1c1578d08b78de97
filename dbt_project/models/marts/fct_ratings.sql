with

ratings as (

    select * from {{ ref('stg_silver__ratings') }}

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
