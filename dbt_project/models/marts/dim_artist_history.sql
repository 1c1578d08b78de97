{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key=['artist_id', 'valid_from'],
    on_schema_change='fail', full_refresh=false
) }}

{{ history_of(ref('dim_artist'), 'artist_id', ['artist_name', 'genre', 'country', 'popularity_band', 'in_catalog']) }}
