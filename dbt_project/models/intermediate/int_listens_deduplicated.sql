with

listens as (

    select * from {{ ref('stg_silver__listens') }}

),

-- One play can come as an export, from the live feed and from a scrobbler, each with an event_id of its own.
ranked as (

    select
        *,
        {{ dbt.date_trunc('second', 'listened_at') }} as listened_second,
        row_number() over (
            partition by user_id, item_id, {{ dbt.date_trunc('second', 'listened_at') }}
            order by ingested_at, kafka_offset, event_id
        ) as occurrence,
        count(*) over (
            partition by user_id, item_id, {{ dbt.date_trunc('second', 'listened_at') }}
        ) as occurrences
    from listens

),

-- Nearly every play came once: only the others are worth an aggregation.
repeated as (

    select
        user_id,
        item_id,
        listened_second,
        {{ collect('event_id', order_by='occurrence') }} as event_ids,
        max(ms_played) as ms_played,
        max(recommendation_id) as recommendation_id
    from ranked
    where occurrences > 1
    group by user_id, item_id, listened_second

),

final as (

    select
        {{ play_id('ranked.user_id', 'ranked.item_id', 'ranked.listened_at') }} as listen_id,
        ranked.event_id,
        coalesce(repeated.event_ids, array[ranked.event_id]) as event_ids,
        ranked.user_id,
        ranked.item_id,
        ranked.item_kind,
        coalesce(ranked.recommendation_id, repeated.recommendation_id) as recommendation_id,
        coalesce(ranked.ms_played, repeated.ms_played) as ms_played,
        ranked.source,
        ranked.context,
        ranked.listened_at
    from ranked
    left join repeated
        on
            ranked.user_id = repeated.user_id
            and ranked.item_id = repeated.item_id
            and ranked.listened_second = repeated.listened_second
    where ranked.occurrence = 1

)

select * from final
