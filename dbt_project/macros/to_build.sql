-- noqa: disable=layout.indent
{#- Queries for what marts of weeks, artists and answers build again; see incremental.sql. -#}

{#- Query for the listeners' weeks that an incremental mart builds again: a day in UTC is up to two of a listener's. -#}
{% macro weeks_to_build() -%}
    {%- set since = newest_touch() -%}
    {%- for shift in [-1, 1] %}
        select
            user_id,
            {{ week_of('cast(' ~ dbt.dateadd('day', shift, 'day_touched') ~ ' as date)') }} as local_week
        from {{ ref('int_pairs_touched') }}
        where
            user_id is not null
            and activity in ('listens', 'songs', 'albums', 'zones')
            and touched_at > {{ since }}
        {%- if not loop.last %}
        union
        {%- endif %}
    {%- endfor %}
{%- endmacro %}


{#- The Mondays of the charts that are built again: the weeks of any listener, and the ones after, whose previous ranks
    they are. `looked_at` adds those whose ranks these know. -#}
{% macro chart_weeks_to_build(looked_at=false) -%}
    {%- set weeks = weeks_to_build() -%}
    {%- set query -%}
        {%- for shift in [-7, 0, 7] if looked_at or shift >= 0 %}
            select cast({{ dbt.dateadd('day', shift, 'local_week') }} as date) as week_start
            from ({{ weeks }}) as moved
            {%- if not loop.last %}
            union
            {%- endif %}
        {%- endfor %}
    {%- endset -%}
    {{ literals(query, 'date') }}
{%- endmacro %}


{#- Query for each listener that is built again and the first of their weeks (`local_week`) that is: whom they met
    earlier than thought is no longer new in any later one. -#}
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


{#- Query for the answers whose recommendations are built again: those of a listener to whom one was shown, or who
    played something, within a day; and those that led to a click which came. -#}
{% macro answers_to_build(activities=none, clicks=true) -%}
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
        touched.activity in ({{ named(activities or ['recommendations', 'listens', 'songs', 'albums']) }})
        and touched.touched_at > {{ newest_touch() }}
{%- endmacro %}


{#- Query for the listeners whom a link, the catalogue or a time zone moved to another artist or week. They are mostly
    few or none, which the planner cannot guess of the query: it would read all their listens. -#}
{% macro listeners_to_build() -%}
    {%- set query = moved_listeners(newest_touch()) -%}
    {%- set found = run_query(query ~ ' limit 501').columns[0].values() if execute else [] -%}
    {%- if execute and found | length <= 500 -%}
    select distinct user_id
    from {{ ref('int_pairs_touched') }}
    where {{ "user_id in (" ~ written(found, dbt.type_string()) ~ ")" if found else "false" }}
    {%- else -%}
    {{ query }}
    {%- endif -%}
{%- endmacro %}


{#- The same as it is found out, since a moment. -#}
{% macro moved_listeners(since) -%}
    select distinct user_id
    from {{ ref('int_pairs_touched') }}
    where
        user_id is not null
        and (
            activity in ('songs', 'albums', 'zones')
            or item_id in (
                select canonical_id
                from {{ ref('int_items_canonical') }}
                where changed_at > {{ since }}
                union all
                select previous_canonical_id
                from {{ ref('int_items_canonical') }}
                where changed_at > {{ since }}
            )
        )
        and touched_at > {{ since }}
{%- endmacro %}


{#- Query for the pairs of listener and artist that are built again: those of listens that were, and all of the
    listeners who may have lost an artist. -#}
{% macro listener_artists_to_build() -%}
    select distinct
        user_id,
        artist_id
    from {{ ref('fct_listens') }}
    where
        artist_id is not null
        and touched_at > {{ newest_touch() }}
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


{#- Hook: away with the charts' weeks that are built again. -#}
{% macro forget_weeks() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where week_start in ({{ chart_weeks_to_build() }})
    {%- endif -%}
{%- endmacro %}
