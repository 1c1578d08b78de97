with

recommendations as (

    select * from {{ ref('int_recommendations_unnested') }}

),

listens as (

    select * from {{ ref('fct_listens') }}

),

played_item as (

    select
        recommendations.recommendation_id,
        recommendations.position,
        recommendations.shown_at,
        listens.listened_at
    from recommendations
    inner join listens
        on
            recommendations.user_id = listens.user_id
            and recommendations.item_id = listens.item_id

),

-- An artist was recommended, and one of its tracks was played from there.
played_track_of_artist as (

    select
        recommendations.recommendation_id,
        recommendations.position,
        recommendations.shown_at,
        listens.listened_at
    from recommendations
    inner join listens
        on
            recommendations.recommendation_id = listens.recommendation_id
            and recommendations.user_id = listens.user_id
            and recommendations.item_id = listens.artist_id

),

plays as (

    select * from played_item
    union all
    select * from played_track_of_artist

),

followed as (

    select distinct
        recommendation_id,
        position
    from plays
    where
        listened_at >= shown_at
        and listened_at < {{ dbt.dateadd('day', 1, 'shown_at') }}

),

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

clicked as (

    select distinct
        clicks.recommendation_id,
        coalesce(canonical.canonical_id, clicks.item_id) as item_id
    from {{ ref('stg_silver__clicks') }} as clicks
    left join canonical on clicks.item_id = canonical.item_id
    where clicks.recommendation_id is not null

),

final as (

    select
        recommendations.recommendation_id,
        cast(recommendations.position as integer) as position,
        recommendations.user_id,
        recommendations.item_id,
        recommendations.shown_at,
        {{ date_key('recommendations.shown_at') }} as date_key,
        recommendations.source,
        recommendations.reason,
        recommendations.model_version,
        recommendations.rung,
        recommendations.context,
        recommendations.experiment,
        recommendations.arm,
        cast(recommendations.propensity as double precision) as propensity,
        clicked.recommendation_id is not null as is_clicked,
        followed.recommendation_id is not null as listened_within_day
    from recommendations
    left join followed
        on
            recommendations.recommendation_id = followed.recommendation_id
            and recommendations.position = followed.position
    left join clicked
        on
            recommendations.recommendation_id = clicked.recommendation_id
            and recommendations.item_id = clicked.item_id

)

select * from final
