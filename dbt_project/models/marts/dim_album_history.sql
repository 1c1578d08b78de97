{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key=['album_id', 'valid_from'],
    on_schema_change='fail', full_refresh=false
) }}

{{ history_of(ref('dim_album'), 'album_id', ['album_name', 'artist_id', 'release_date', 'in_catalog']) }}
