-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[
        {'columns': ['recommendation_id']}, {'columns': ['user_id']}, {'columns': ['touched_at']},
        {'columns': ['date_key']},
    ],
    pre_hook=[
        "{% if is_incremental() %}{{ forget_rows(answers_to_build(), ['recommendation_id']) }}{% endif %}",
        "{{ forget_listeners(ref('int_listeners_forgotten')) }}",
    ],
    post_hook="{{ analyze() }}"
) }}

with

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

{% if is_incremental() -%}
touched as (

    {{ answers_to_build() | indent }}

),
{%- endif %}

answers as (

    select answers.*
    from {{ ref('stg_silver__recommendations') }} as answers
    {%- if is_incremental() %}
        inner join touched on answers.recommendation_id = touched.recommendation_id
    {%- endif %}

),

recommendations as (

    select
        answers.recommendation_id,
        cast(shown.position as integer) as position,
        answers.user_id,
        coalesce(canonical.canonical_id, shown.item_id) as item_id,
        answers.shown_at,
        shown.source,
        shown.reason,
        answers.model_version,
        answers.rung,
        answers.context,
        answers.experiment,
        answers.arm,
        shown.propensity
    from answers
    {{ unnest_shown('answers') }}
    left join canonical on shown.item_id = canonical.item_id
    where shown.item_id is not null

),

played_item as (

    select
        recommendations.recommendation_id,
        recommendations.position,
        recommendations.shown_at,
        listens.listened_at
    from recommendations
    inner join {{ ref('fct_listens') }} as listens
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
    inner join {{ ref('fct_listens') }} as listens
        on
            recommendations.user_id = listens.user_id
            and recommendations.item_id = listens.artist_id
            and recommendations.recommendation_id = listens.recommendation_id

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

clicked as (

    select distinct
        clicks.recommendation_id,
        coalesce(canonical.canonical_id, clicks.item_id) as item_id
    from answers
    inner join {{ ref('stg_silver__clicks') }} as clicks on answers.recommendation_id = clicks.recommendation_id
    left join canonical on clicks.item_id = canonical.item_id

),

final as (

    select
        recommendations.recommendation_id,
        recommendations.position,
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
        followed.recommendation_id is not null as listened_within_day,
        {{ this_batch() }} as touched_at
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
