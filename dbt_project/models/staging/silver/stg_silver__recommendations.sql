-- No common expressions: PostgreSQL reads the whole of a view that has one when something is joined to it.
select
    ---------- ids
    event_id as recommendation_id,
    user_id,

    ---------- values
    item_ids,
    sources,
    reasons,
    propensities,
    model_version,
    rung,
    context,
    experiment,
    arm,

    ---------- timestamps
    timestamp as shown_at,
    ingested_at,

    ---------- position
    load_id
from {{ source('silver', 'recommendation_events') }}
