-- noqa: disable=layout.indent
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    indexes=[{'columns': ['user_id', 'item_id']}, {'columns': ['touched_at']}],
    pre_hook=["{{ forget_touched(['listens']) }}", "{{ forget_listeners(ref('int_listeners_forgotten')) }}"],
    post_hook="{{ analyze() }}"
) }}

with

{% set play = 'user_id, item_id' -%}

canonical as (

    select * from {{ ref('int_items_canonical') }}

),

{% if is_incremental() -%}
touched as (

    {{ pairs_to_build(['listens']) | indent }}

),

members as (

    {{ named_ids('touched') | indent }}

),

listens as (

    select listens.*
    from {{ ref('stg_silver__listens') }} as listens
    inner join members
        on
            listens.user_id = members.user_id
            and listens.item_id = members.named_id

),
{%- else -%}
listens as (

    select * from {{ ref('stg_silver__listens') }}

),
{%- endif %}

placed as (

    select
        listens.event_id,
        listens.user_id,
        coalesce(canonical.canonical_id, listens.item_id) as item_id,
        listens.item_id as source_item_id,
        listens.recommendation_id,
        listens.ms_played,
        coalesce(listens.source, 'unknown') as source,
        listens.context,
        listens.listened_at,
        listens.ingested_at,
        listens.kafka_offset
    from listens
    left join canonical on listens.item_id = canonical.item_id

),

neighbours as (

    select
        *,
        lag(listened_at) over (partition by {{ play }} order by listened_at, event_id) as previous_at,
        lead(listened_at) over (partition by {{ play }} order by listened_at, event_id) as next_at
    from placed

),

flagged as (

    select
        *,
        coalesce({{ same_session('previous_at', 'listened_at') }}, false) as goes_on,
        coalesce({{ same_session('listened_at', 'next_at') }}, false) as is_followed
    from neighbours

),

-- Export, live feed and scrobbler may all tell of one play, seconds apart: only rows with a neighbour are worth a look.
in_sessions as (

    select
        *,
        sum(case when goes_on then 0 else 1 end) over (
            partition by {{ play }} order by listened_at, event_id rows unbounded preceding
        ) as session_number
    from flagged
    where goes_on or is_followed

),

-- In a session the n-th play that each source tells of is the same one; two of one source in a second are one.
numbered as (

    select
        *,
        dense_rank() over (
            partition by {{ play }}, session_number, source
            order by {{ dbt.date_trunc('second', 'listened_at') }}
        ) as play_number
    from in_sessions

),

believed as (

    select
        *,
        row_number() over (
            partition by {{ play }}, session_number, play_number
            order by {{ source_rank('source') }}, ingested_at, kafka_offset, event_id
        ) as place
    from numbered

),

told_by_neighbours as (

    select
        {{ first_known('event_id', 'place') }} as event_id,
        {{ collect('event_id', order_by='place') }} as event_ids,
        {{ collect('source', order_by='place') }} as sources,
        user_id,
        item_id,
        {{ first_known('source_item_id', 'place') }} as source_item_id,
        {{ first_known('recommendation_id', 'place') }} as recommendation_id,
        {{ first_known('ms_played', 'place') }} as ms_played,
        {{ first_known('source', 'place') }} as source,
        {{ first_known('context', 'place') }} as context,
        min(listened_at) as listened_at
    from believed
    group by {{ play }}, session_number, play_number

),

told_once as (

    select
        event_id,
        {{ array_of('event_id') }} as event_ids,
        {{ array_of('source') }} as sources,
        user_id,
        item_id,
        source_item_id,
        recommendation_id,
        ms_played,
        source,
        context,
        listened_at
    from flagged
    where not goes_on and not is_followed

),

plays as (

    select * from told_by_neighbours
    union all
    select * from told_once

),

final as (

    select
        {{ play_id('plays.user_id', 'plays.item_id', 'plays.listened_at') }} as listen_id,
        plays.event_id,
        plays.event_ids,
        plays.sources,
        plays.user_id,
        plays.item_id,
        {{ item_kind('plays.item_id') }} as item_kind,
        plays.source_item_id,
        plays.recommendation_id,
        plays.ms_played,
        plays.source,
        plays.context,
        plays.listened_at,
        {{ this_batch() }} as touched_at
    from plays

)

select * from final
