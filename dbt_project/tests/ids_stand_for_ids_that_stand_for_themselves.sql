{{ config(meta={
    'dagster': {'ref': {'name': 'int_items_canonical'}},
    'description': 'Links are flat: no canonical id is itself linked to another one.',
}) }}

select
    links.item_id,
    links.canonical_id
from {{ ref('int_items_canonical') }} as links
inner join {{ ref('int_items_canonical') }} as further on links.canonical_id = further.item_id
where further.canonical_id != further.item_id
