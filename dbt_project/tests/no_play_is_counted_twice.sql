{{ config(meta={
    'dagster': {'ref': {'name': 'fct_listens'}},
    'description': 'A play is a listener, an item and a second: each is one listen.',
}) }}

select
    user_id,
    item_id,
    {{ dbt.date_trunc('second', 'listened_at') }} as listened_second,
    count(*) as listens
from {{ rows_to_test('fct_listens') }}
group by user_id, item_id, {{ dbt.date_trunc('second', 'listened_at') }}
having count(*) > 1
