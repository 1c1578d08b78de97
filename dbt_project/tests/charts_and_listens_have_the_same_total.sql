{{ config(meta={
    'dagster': {'ref': {'name': 'mart_charts_weekly'}},
    'description': 'Every listen of a track is in the chart of its week, once.',
}) }}

with

charts as (

    select
        week_start,
        sum(listens) as listens
    from {{ rows_to_test('mart_charts_weekly') }}
    where item_kind = 'track'
    group by week_start

),

listens as (

    select
        listens.local_week as week_start,
        count(*) as listens
    from {{ ref('fct_listens') }} as listens
    {%- if not var('every_row') %}
        inner join charts on listens.local_week = charts.week_start
    {%- endif %}
    where listens.track_id is not null
    group by listens.local_week

)

select
    coalesce(listens.week_start, charts.week_start) as week_start,
    listens.listens as in_listens,
    charts.listens as in_charts
from listens
full outer join charts on listens.week_start = charts.week_start
where listens.listens is distinct from charts.listens
