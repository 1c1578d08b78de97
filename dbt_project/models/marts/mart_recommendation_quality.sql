with

recommendations as (

    select * from {{ ref('fct_recommendations') }}

),

final as (

    select
        date_key,
        model_version,
        position,
        coalesce(source, 'unknown') as source,
        coalesce(reason, 'unknown') as reason,
        coalesce(experiment, 'none') as experiment,
        coalesce(arm, 'none') as arm,
        count(*) as shown,
        cast(sum(case when is_clicked then 1 else 0 end) as bigint) as clicked,
        cast(sum(case when listened_within_day then 1 else 0 end) as bigint) as listened,
        cast(sum(case when is_clicked then 1 else 0 end) as double precision) / count(*) as click_rate
    from recommendations
    group by 1, 2, 3, 4, 5, 6, 7

)

select * from final
