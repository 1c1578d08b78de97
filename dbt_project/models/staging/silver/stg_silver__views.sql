-- No common expressions: PostgreSQL reads the whole of a view that has one when something is joined to it.
select
    ---------- ids
    event_id,
    user_id,
    item_id,
    {{ item_kind('item_id') }} as item_kind,
    recommendation_id,

    ---------- values
    source,
    context,

    ---------- timestamps
    timestamp as viewed_at,
    ingested_at,

    ---------- position
    kafka_topic_id,
    kafka_partition,
    kafka_offset,
    load_id
from {{ source('silver', 'events_views') }}
