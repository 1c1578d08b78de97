-- noqa: disable=layout.indent
-- Never changes: later builds add nothing.
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with

spine as (

    {{ dbt.date_spine(
        datepart='minute',
        start_date="cast('1970-01-01 00:00:00' as timestamp)",
        end_date="cast('1970-01-02 00:00:00' as timestamp)"
    ) }}

),

minutes as (

    select
        cast(extract(hour from date_minute) as integer) as hour_of_day,
        cast(extract(minute from date_minute) as integer) as minute_of_hour
    from spine

),

final as (

    select
        cast(hour_of_day * 100 + minute_of_hour as integer) as time_key,
        hour_of_day,
        minute_of_hour,
        case
            when hour_of_day < 6 then 'night'
            when hour_of_day < 12 then 'morning'
            when hour_of_day < 18 then 'afternoon'
            else 'evening'
        end as part_of_day
    from minutes

)

select * from final
{%- if is_incremental() %}
where false
{%- endif %}
