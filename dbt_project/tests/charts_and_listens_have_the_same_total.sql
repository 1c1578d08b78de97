-- noqa: disable=layout.indent
{{ config(meta={
    'dagster': {'ref': {'name': 'mart_charts_weekly'}},
    'description': 'Every listen of a track is in the chart of its week, once.',
}) }}

{% set tested = rows_to_test('mart_charts_weekly') -%}
{% set weeks = 'select distinct week_start from ' ~ tested ~ ' as charts' -%}

with

charts as (

    select
        week_start,
        sum(listens) as listens
    from {{ tested }}
    where item_kind = 'track'
    group by week_start

),

listens as (

    select
        listens.local_week as week_start,
        count(*) as listens
    from {{ ref('fct_listens') }} as listens
    where
        listens.track_id is not null
        {%- if not var('every_row') %}
            and listens.local_week in ({{ literals(weeks, 'date') }})
        {%- endif %}
    group by listens.local_week

)

select
    coalesce(listens.week_start, charts.week_start) as week_start,
    listens.listens as in_listens,
    charts.listens as in_charts
from listens
full outer join charts on listens.week_start = charts.week_start
where listens.listens is distinct from charts.listens
