{{ config(meta={
    'dagster': {'ref': {'name': 'fct_listens'}},
    'description': 'Silver listens less repeated plays equal the mart, and every id is kept.',
}) }}

with

stored as (

    select count(*) as listens
    from {{ stored_listens_to_test() }}

),

plays as (

    select
        count(*) as listens,
        coalesce(sum({{ array_size('event_ids') }}), 0) as event_ids
    from {{ rows_to_test('int_listens_deduplicated') }}

),

mart as (

    select count(*) as listens
    from {{ ref('fct_listens') }} as facts
    {%- if not var('every_row') %}
        -- Not the mart's own newest batch: a catalogue record touches facts, and no play.
        inner join {{ rows_to_test('int_listens_deduplicated') }} as plays
            on
                facts.user_id = plays.user_id
                and facts.item_id = plays.item_id
                and facts.listen_id = plays.listen_id
    {%- endif %}

)

select
    stored.listens as in_silver,
    plays.event_ids as ids_of_plays,
    plays.listens as plays,
    mart.listens as in_mart
from stored
cross join plays
cross join mart
where stored.listens != plays.event_ids or plays.listens != mart.listens
