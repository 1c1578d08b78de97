-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['date_key']}, {'columns': ['touched_at']}],
    pre_hook="{{ forget_moved(ref('fct_recommendations'), 'date_key') }}"
) }}

with

{% if is_incremental() -%}
days as (

    {{ moved_since(ref('fct_recommendations'), 'date_key') | indent }}

),
{%- endif %}

recommendations as (

    select recommendations.*
    from {{ ref('fct_recommendations') }} as recommendations
    {%- if is_incremental() %}
        inner join days on recommendations.date_key = days.date_key
    {%- endif %}

),

counted as (

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

),

final as (

    select
        counted.*,
        {{ this_batch() }} as touched_at
    from counted

)

select * from final
