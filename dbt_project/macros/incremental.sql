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


{#- The values of a query's one column as literals, NULL if there is none: the planner knows how few rows they mean. -#}
{% macro literals(query, type) -%}
    {%- set found = run_query(query).columns[0].values() if execute else [] -%}
    {%- for value in found -%}
        cast({{ "'" ~ value ~ "'" if value is not none else "null" }} as {{ type }}){{ ", " if not loop.last }}
    {%- else -%}
        null
    {%- endfor -%}
{%- endmacro %}


{#- The Mondays of the charts that are built again: the weeks of any listener, and the ones after, whose previous ranks
    they are. `looked_at` adds those whose ranks these know. -#}
{% macro chart_weeks_to_build(looked_at=false) -%}
    {%- set query -%}
        {%- for shift in [-7, 0, 7] if looked_at or shift >= 0 %}
            select cast({{ dbt.dateadd('day', shift, 'local_week') }} as date) as week_start
            from ({{ weeks_to_build() }}) as moved
            {%- if not loop.last %}
            union
            {%- endif %}
        {%- endfor %}
    {%- endset -%}
    {{ literals(query, 'date') }}
{%- endmacro %}


{#- Query for each listener that is built again and the first of their weeks (`local_week`) that is: whom they met earlier
    than thought is no longer new in any later one. -#}
{% macro first_weeks_to_build() -%}
    select
        user_id,
        min(local_week) as local_week
    from ({{ weeks_to_build() }}) as weeks_of_listeners
    group by user_id
{%- endmacro %}


{#- Query for the listens of which an incremental model of weeks is made: all, or those of the listeners and weeks that
    are built again. -#}
{% macro listens_of_later_weeks() -%}
    select
        listens.user_id,
        listens.local_week,
        listens.local_date,
        listens.artist_id,
        listens.track_id,
        listens.ms_played,
        listens.is_skip,
        listens.origin
    from {{ ref('fct_listens') }} as listens
    {%- if is_incremental() %}
        inner join ({{ first_weeks_to_build() }}) as first_weeks
            on
                listens.user_id = first_weeks.user_id
                and listens.local_week >= first_weeks.local_week
        where listens.local_week >= {{ first_week_to_build() }}
    {%- endif %}
{%- endmacro %}


{#- The first week of any listener that is built again: what lies before it need not be read. -#}
{% macro first_week_to_build() -%}
    {%- set query -%}select min(local_week) from ({{ weeks_to_build() }}) as weeks_of_listeners{%- endset -%}
    {{ literals(query, 'date') }}
{%- endmacro %}


{#- Query for the values of a column in rows of another model that were built after the newest row of this one. -#}
{% macro moved_since(relation, column) -%}
    select distinct {{ column }}
    from {{ relation }}
    where touched_at > {{ newest(this, 'touched_at', "'1970-01-01 00:00:00+00'") }}
{%- endmacro %}


{#- Query for the answers whose recommendations are built again: those of a listener to whom one was shown, or who
    played something, within a day; and those that led to a click which came. -#}
{% macro answers_to_build(activities=['recommendations', 'listens', 'songs', 'albums'], clicks=true) -%}
    {%- if clicks -%}
    with

    clicked as (

        {{ pairs_to_build(['clicks']) | indent }}

    ),

    members as (

        {{ named_ids('clicked') | indent }}

    )

    select clicks.recommendation_id
    from members
    inner join {{ ref('stg_silver__clicks') }} as clicks
        on members.user_id = clicks.user_id and members.named_id = clicks.item_id
    where clicks.recommendation_id is not null
    union
    {% endif -%}
    select answers.recommendation_id
    from {{ ref('int_pairs_touched') }} as touched
    inner join {{ ref('stg_silver__recommendations') }} as answers
        on
            touched.user_id = answers.user_id
            and answers.shown_at >= cast({{ dbt.dateadd('day', -1, 'touched.day_touched') }} as {{ type_moment() }})
            and answers.shown_at < cast({{ dbt.dateadd('day', 1, 'touched.day_touched') }} as {{ type_moment() }})
    where
        touched.activity in ({% for activity in activities %}'{{ activity }}'{{ ", " if not loop.last }}{% endfor %})
        and touched.touched_at > {{ newest(this, 'touched_at', "'1970-01-01 00:00:00+00'") }}
{%- endmacro %}


{#- Query for the listeners whom a link, the catalogue or a time zone moved to another artist or week. -#}
{% macro listeners_to_build() -%}
    select distinct user_id
    from {{ ref('int_pairs_touched') }}
    where
        user_id is not null
        and (activity in ('songs', 'albums', 'zones') or (activity = 'listens' and load_id = 0))
        and touched_at > {{ newest(this, 'touched_at', "'1970-01-01 00:00:00+00'") }}
{%- endmacro %}


{#- Query for the pairs of listener and artist that are built again: those of listens that were, and all of the listeners
    who may have lost an artist. -#}
{% macro listener_artists_to_build() -%}
    select distinct
        user_id,
        artist_id
    from {{ ref('fct_listens') }}
    where
        artist_id is not null
        and touched_at > {{ newest(this, 'touched_at', "'1970-01-01 00:00:00+00'") }}
    union
    select
        listens.user_id,
        listens.artist_id
    from ({{ listeners_to_build() }}) as moved
    inner join {{ ref('fct_listens') }} as listens on moved.user_id = listens.user_id
    where listens.artist_id is not null
{%- endmacro %}


{#- Query for the artist that each listener of a relation played most. -#}
{% macro favourite_artists(listeners) -%}
    {{ adapter.dispatch("favourite_artists")(listeners) }}
{%- endmacro %}

{#- The first row of each listener in an index of this order: what else they played is not read. -#}
{% macro default__favourite_artists(listeners) -%}
    select
        listeners.user_id,
        favourite.artist_id,
        favourite.listens
    from {{ listeners }} as listeners
    cross join lateral (
        select
            artists.artist_id,
            artists.listens
        from {{ ref('mart_listener_artists') }} as artists
        where artists.user_id = listeners.user_id
        order by artists.listens desc, artists.artist_id asc
        limit 1
    ) as favourite
{%- endmacro %}

{% macro snowflake__favourite_artists(listeners) -%}
    select
        artists.user_id,
        artists.artist_id,
        artists.listens
    from {{ listeners }} as listeners
    inner join {{ ref('mart_listener_artists') }} as artists on listeners.user_id = artists.user_id
    qualify row_number() over (partition by artists.user_id order by artists.listens desc, artists.artist_id asc) = 1
{%- endmacro %}


{#- Hook: away with the weeks of listeners that are built again. -#}
{% macro forget_later_weeks() -%}
    {%- if is_incremental() -%}
        {{ forget_rows(first_weeks_to_build(), ['user_id'], also='week_start >= local_week') }}
    {%- endif -%}
{%- endmacro %}


{#- Hook: away with the rows of this model whose columns equal those of a query, and of which `also` is true. -#}
{% macro forget_rows(query, columns, also="true") -%}
    delete from {{ this }}
    using ({{ query }}) as touched
    where
        {%- for column in columns %}
        {{ this.identifier }}.{{ column }} = touched.{{ column }} and
        {%- endfor %}
        {{ also }}
{%- endmacro %}


{#- Hook: away with the charts' weeks that are built again. -#}
{% macro forget_weeks() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where week_start in ({{ chart_weeks_to_build() }})
    {%- endif -%}
{%- endmacro %}


{#- Hook before `int_pairs_touched`: away with batches older than a week, but for the newest load of each activity, which
    says how far it came. -#}
{% macro forget_old_batches() -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where
            user_id is not null
            and touched_at < {{ dbt.dateadd('day', -7, this_moment()) }}
            and (activity, load_id) not in (select activity, max(load_id) from {{ this }} group by activity)
    {%- endif -%}
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
    {{ forget_rows(pairs_to_build(activities), ['user_id', 'item_id']) }};
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
