with

recommendations as (

    select * from {{ ref('stg_silver__recommendations') }}

),

final as (

    select
        recommendations.recommendation_id,
        shown.position,
        recommendations.user_id,
        shown.item_id,
        shown.source,
        shown.reason,
        recommendations.model_version,
        recommendations.rung,
        recommendations.context,
        recommendations.shown_at
    from recommendations
    cross join
        lateral unnest(recommendations.item_ids, recommendations.sources, recommendations.reasons)
        with ordinality as shown (item_id, source, reason, position)
    where shown.item_id is not null

)

select * from final
