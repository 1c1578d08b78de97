with

recommendations as (

    select * from {{ ref('stg_silver__recommendations') }}

),

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

final as (

    select
        recommendations.recommendation_id,
        shown.position,
        recommendations.user_id,
        coalesce(canonical.canonical_id, shown.item_id) as item_id,
        shown.source,
        shown.reason,
        shown.propensity,
        recommendations.model_version,
        recommendations.rung,
        recommendations.context,
        recommendations.experiment,
        recommendations.arm,
        recommendations.shown_at
    from recommendations
    {{ unnest_shown('recommendations') }}
    left join canonical on shown.item_id = canonical.item_id
    where shown.item_id is not null

)

select * from final
