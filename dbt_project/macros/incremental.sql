-- noqa: disable=layout.indent
{#-
    How incremental models agree on what is new. `int_pairs_touched` says which pairs of listener and canonical item to
    build again, and when that was found; a model builds the pairs that were found after its own newest row. See
    docs/decisions/0024-incremental-by-pair.md.
-#}

{#- The newest value of a column as a literal: the planner knows how few rows lie beyond it, as it would not with a
    subquery. `fallback` where the relation has no row. -#}
{% macro newest(relation, column, fallback, condition="true") -%}
    {{ adapter.dispatch("newest")(relation, column, fallback, condition) }}
{%- endmacro %}

{% macro default__newest(relation, column, fallback, condition) -%}
    {%- if execute -%}
        {%- set query -%}
            select cast(max({{ column }}) as {{ dbt.type_string() }}) from {{ relation }} where {{ condition }}
        {%- endset -%}
        {%- set found = run_query(query).columns[0].values()[0] -%}
        {{ "'" ~ found ~ "'" if found is not none else fallback }}
    {%- else -%}
        {{ fallback }}
    {%- endif -%}
{%- endmacro %}


{#- Query for the pairs that an incremental model builds again. -#}
{% macro pairs_to_build(activities) -%}
    select distinct
        user_id,
        item_id
    from {{ ref('int_pairs_touched') }}
    where
        user_id is not null
        and activity in ({% for activity in activities %}'{{ activity }}'{{ ", " if not loop.last }}{% endfor %})
        and touched_at > {{ newest(this, 'touched_at', "'1970-01-01 00:00:00+00'") }}
{%- endmacro %}


{#- Query for every id (`named_id`) under which the items of a relation of pairs are met: their own, and what leads to
    it. -#}
{% macro named_ids(pairs) -%}
    select
        user_id,
        item_id,
        item_id as named_id
    from {{ pairs }}
    union
    select
        pairs.user_id,
        pairs.item_id,
        links.item_id as named_id
    from {{ pairs }} as pairs
    inner join {{ ref('int_items_canonical') }} as links on pairs.item_id = links.canonical_id
{%- endmacro %}


{#- Query for the listeners' weeks that an incremental mart builds again: a day in UTC is up to two of a listener's. -#}
{% macro weeks_to_build() -%}
    {%- for shift in [-1, 1] %}
        select
            user_id,
            {{ week_of('cast(' ~ dbt.dateadd('day', shift, 'day_touched') ~ ' as date)') }} as local_week
        from {{ ref('int_pairs_touched') }}
        where
            user_id is not null
            and activity in ('listens', 'songs', 'albums', 'zones')
            and touched_at > {{ newest(this, 'touched_at', "'1970-01-01 00:00:00+00'") }}
        {%- if not loop.last %}
        union
        {%- endif %}
    {%- endfor %}
{%- endmacro %}


{#- Hook before an incremental model: away with the pairs that it builds again, and with listeners that were forgotten,
    who have no row in the staged events any more. -#}
{% macro forget_touched(activities, events) -%}
    {%- if is_incremental() -%}
        {{ adapter.dispatch("forget_touched")(activities, events) }}
    {%- endif -%}
{%- endmacro %}

{% macro default__forget_touched(activities, events) -%}
    delete from {{ this }}
    where (user_id, item_id) in ({{ pairs_to_build(activities) }}) or user_id in ({{ forgotten(events) }})
{%- endmacro %}

{#- Two statements: with `or` PostgreSQL would read the whole table instead of its index. -#}
{% macro postgres__forget_touched(activities, events) -%}
    delete from {{ this }} as held
    using ({{ pairs_to_build(activities) }}) as touched
    where held.user_id = touched.user_id and held.item_id = touched.item_id;
    {{ forget_listeners(events) }}
{%- endmacro %}


{#- Hook: away with the rows of listeners whom none of `events` names any more. -#}
{% macro forget_listeners(events) -%}
    {%- if is_incremental() -%}
        {{ adapter.dispatch("forget_listeners")(events) }}
    {%- endif -%}
{%- endmacro %}

{% macro default__forget_listeners(events) -%}
    delete from {{ this }} where user_id in ({{ forgotten(events) }})
{%- endmacro %}

{#- An array is known before the table is looked at, so that the index finds its rows. -#}
{% macro postgres__forget_listeners(events) -%}
    delete from {{ this }} where user_id = any(array({{ forgotten(events) }}))
{%- endmacro %}

{#- Query for listeners of this model whom none of `events` names: from one listener to the next in the index. -#}
{% macro forgotten(events) -%}
    {{ adapter.dispatch("forgotten")(events) }}
{%- endmacro %}

{% macro default__forgotten(events) -%}
    select held.user_id
    from (select distinct user_id from {{ this }}) as held
    where true
    {%- for relation in events %}
        and not exists (select 1 from {{ relation }} as events where events.user_id = held.user_id)
    {%- endfor %}
{%- endmacro %}

{% macro postgres__forgotten(events) -%}
    with recursive listeners as (
        (select user_id from {{ this }} order by user_id limit 1)
        union all
        select (select next.user_id from {{ this }} as next where next.user_id > listeners.user_id order by 1 limit 1)
        from listeners
        where listeners.user_id is not null
    )

    select listeners.user_id
    from listeners
    where
        listeners.user_id is not null
        {%- for relation in events %}
        and not exists (select 1 from {{ relation }} as events where events.user_id = listeners.user_id)
        {%- endfor %}
{%- endmacro %}


{#- Hook: fresh statistics, because what follows reads the table at once. -#}
{% macro analyze() -%}
    {{ adapter.dispatch("analyze")() }}
{%- endmacro %}

{% macro default__analyze() -%}{%- endmacro %}

{% macro postgres__analyze() -%}analyze {{ this }}{%- endmacro %}


{#-
    What a generic test looks at. A build of what is new (`every_row: false`) looks at the newest batch of the models
    that `built_by_pair` names and at the newest load of those that `loaded_in_order` does; with `every_row`, the default and what runs every night, a test sees every row.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get("where") -%}
    {%- if where -%}
        (select * from {{ relation }} where {{ where }}) as filtered
    {%- elif relation.identifier in var("built_by_pair") and not var("every_row") -%}
        (select * from {{ relation }} where touched_at = {{ newest(relation, "touched_at", "null") }}) as touched
    {%- elif relation.identifier in var("loaded_in_order") and not var("every_row") -%}
        (select * from {{ relation }} where load_id = {{ newest(relation, "load_id", "0") }}) as touched
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}


{#- The rows of a model that a singular test looks at: all, or those of the newest batch. -#}
{% macro rows_to_test(model) -%}
    {%- if var("every_row") -%}
        {{ ref(model) }}
    {%- else -%}
        (select * from {{ ref(model) }} where touched_at = {{ newest(ref(model), "touched_at", "null") }})
    {%- endif -%}
{%- endmacro %}


{#- The stored listens that a singular test looks at: all, or those of the pairs of the newest batch. A pair is built
    as a whole, so its events can be counted as a whole. -#}
{% macro stored_listens_to_test() -%}
    {%- if var("every_row") -%}
        {{ ref("stg_silver__listens") }}
    {%- else -%}
        (
            with pairs as (select distinct user_id, item_id from {{ rows_to_test("int_listens_deduplicated") }})

            select listens.*
            from {{ ref("stg_silver__listens") }} as listens
            inner join ({{ named_ids("pairs") }}) as members on listens.user_id = members.user_id and listens.item_id = members.named_id
            left join {{ ref("int_items_canonical") }} as links on listens.item_id = links.item_id
            where (listens.user_id, coalesce(links.canonical_id, listens.item_id)) in (select user_id, item_id from pairs)
        )
    {%- endif -%}
{%- endmacro %}
