{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key=['track_id', 'valid_from'],
    on_schema_change='fail', full_refresh=false
) }}

{{ history_of(ref('dim_track'), 'track_id', [
    'track_name', 'artist_id', 'album_id', 'duration_ms', 'genre', 'popularity_band', 'in_catalog'
]) }}
