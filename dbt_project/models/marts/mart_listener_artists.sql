-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[
        {'columns': ['user_id', 'artist_id'], 'unique': true}, {'columns': ['user_id', 'first_week']},
        {'columns': ['user_id', 'listens desc', 'artist_id']}, {'columns': ['touched_at']},
    ],
    pre_hook=[
        "{% if is_incremental() %}{{ forget_rows(listener_artists_to_build(), ['user_id', 'artist_id']) }}{% endif %}",
        "{% if is_incremental() %}{{ forget_rows(listeners_to_build(), ['user_id']) }}{% endif %}",
        "{{ forget_listeners(ref('int_listeners_forgotten')) }}",
    ],
    post_hook="{{ analyze() }}"
) }}

-- depends_on: {{ ref('int_items_canonical') }}

with

{% if is_incremental() -%}
touched as (

    {{ listener_artists_to_build() | indent }}

),
{%- endif %}

counted as (

    select
        listens.user_id,
        listens.artist_id,
        count(*) as listens,
        min(listens.local_week) as first_week
    from {{ ref('fct_listens') }} as listens
    {%- if is_incremental() %}
        inner join touched
            on
                listens.user_id = touched.user_id
                and listens.artist_id = touched.artist_id
    {%- endif %}
    where listens.artist_id is not null
    group by listens.user_id, listens.artist_id

),

final as (

    select
        counted.*,
        {{ this_batch() }} as touched_at
    from counted

)

select * from final
