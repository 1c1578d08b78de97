{{ config(meta={
    'dagster': {'ref': {'name': 'mart_recap_facts'}},
    'description': 'Every listen is in the recap of its listener and week, once.',
}) }}

with

recaps as (

    select
        user_id,
        week_start,
        listens
    from {{ rows_to_test('mart_recap_facts') }}

),

listens as (

    select
        listens.user_id,
        listens.local_week as week_start,
        count(*) as listens
    from {{ ref('fct_listens') }} as listens
    {%- if not var('every_row') %}
        inner join recaps on listens.user_id = recaps.user_id and listens.local_week = recaps.week_start
    {%- endif %}
    group by listens.user_id, listens.local_week

)

select
    coalesce(listens.user_id, recaps.user_id) as user_id,
    coalesce(listens.week_start, recaps.week_start) as week_start,
    listens.listens as in_listens,
    recaps.listens as in_recaps
from listens
full outer join recaps on listens.user_id = recaps.user_id and listens.week_start = recaps.week_start
where listens.listens is distinct from recaps.listens
