-- noqa: disable=layout.indent
-- Never changes: later builds add nothing.
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with

-- An event can be of any day from 1970 to five minutes ahead, so the spine needs no look at the facts.
spine as (

    {{ dbt.date_spine(
        datepart='day',
        start_date="cast('1970-01-01' as date)",
        end_date="cast('2050-01-01' as date)"
    ) }}

),

days as (

    select cast(date_day as date) as date_day
    from spine

),

final as (

    select
        cast(
            extract(year from date_day) * 10000 + extract(month from date_day) * 100 + extract(day from date_day)
            as integer
        ) as date_key,
        date_day,
        cast(extract(year from date_day) as integer) as year_number,
        cast(extract(quarter from date_day) as integer) as quarter_of_year,
        cast(extract(month from date_day) as integer) as month_of_year,
        cast(extract(day from date_day) as integer) as day_of_month,
        -- 1969-12-29 was a Monday.
        mod({{ dbt.datediff("cast('1969-12-29' as date)", 'date_day', 'day') }}, 7) + 1 as iso_day_of_week,
        {{ week_of('date_day') }} as iso_week_start,
        {{ iso_week('date_day') }} as iso_week
    from days

)

select * from final
{%- if is_incremental() %}
where false
{%- endif %}
