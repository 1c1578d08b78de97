with

source as (

    select * from {{ source('silver', 'events_listens') }}

),

renamed as (

    select
        ---------- ids
        event_id,
        user_id,
        item_id,
        {{ item_kind('item_id') }} as item_kind,
        recommendation_id,

        ---------- values
        ms_played,
        source,
        context,

        ---------- timestamps
        timestamp as listened_at,
        ingested_at,

        ---------- position
        kafka_topic_id,
        kafka_partition,
        kafka_offset,
        load_id
    from source

)

select * from renamed
