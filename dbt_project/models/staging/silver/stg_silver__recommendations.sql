with

source as (

    select * from {{ source('silver', 'recommendation_events') }}

),

renamed as (

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
    from source

)

select * from renamed
