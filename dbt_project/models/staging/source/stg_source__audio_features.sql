with

source_rows as (

    select * from {{ source('source', 'audio_features') }}

),

renamed as (

    select
        source,
        item_id as track_id,
        acousticness,
        danceability,
        energy,
        instrumentalness,
        liveness,
        loudness,
        speechiness,
        tempo,
        valence,
        nullif(key, -1) as pitch_class,
        mode = 1 as is_major,
        time_signature,
        origin,
        fetched_at
    from source_rows

)

select * from renamed
