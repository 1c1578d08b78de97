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


{#- The batch up to which an incremental model was built, as a literal. -#}
{% macro newest_touch() -%}
    {{ newest(this, 'touched_at', "'1970-01-01 00:00:00+00'") }}
{%- endmacro %}


{#- When the batch that is built now was found: `touched_at` of every row that a build adds. A scalar. -#}
{% macro this_batch() -%}
    (select max(touched_at) from {{ ref('int_pairs_touched') }})
{%- endmacro %}


{#- The activities of a list as literals. -#}
{% macro named(activities) -%}
    {%- for activity in activities -%}'{{ activity }}'{{ ", " if not loop.last }}{%- endfor -%}
{%- endmacro %}


{#- Query for the pairs that an incremental model builds again. -#}
{% macro pairs_to_build(activities) -%}
    select distinct
        user_id,
        item_id
    from {{ ref('int_pairs_touched') }}
    where
        user_id is not null
        and activity in ({{ named(activities) }})
        and touched_at > {{ newest_touch() }}
{%- endmacro %}


{#- Query for every id (`named_id`) under which the items of a relation of pairs are met: their own, unless that leads
    to another one now, and what leads to it. A model that looks its events up by these need not ask where each leads:
    asked behind the join, that would keep the planner from joining by an index. -#}
{% macro named_ids(pairs) -%}
    select
        pairs.user_id,
        pairs.item_id,
        pairs.item_id as named_id
    from {{ pairs }} as pairs
    left join {{ ref('int_items_canonical') }} as own on pairs.item_id = own.item_id
    where coalesce(own.canonical_id, pairs.item_id) = pairs.item_id
    union
    select
        pairs.user_id,
        pairs.item_id,
        links.item_id as named_id
    from {{ pairs }} as pairs
    inner join {{ ref('int_items_canonical') }} as links on pairs.item_id = links.canonical_id
{%- endmacro %}


{#- The values of a query's one column as literals, NULL if there is none: the planner knows how few rows they mean. -#}
{% macro literals(query, type) -%}
    {{- written(run_query(query).columns[0].values() if execute else [], type) -}}
{%- endmacro %}


{#- Values as literals, NULL if there is none. -#}
{% macro written(values, type) -%}
    {%- for value in values -%}
        cast({{ "'" ~ value ~ "'" if value is not none else "null" }} as {{ type }}){{ ", " if not loop.last }}
    {%- else -%}
        null
    {%- endfor -%}
{%- endmacro %}


{#- Query for the values of a column in rows of another model that were built after the newest row of this one. -#}
{% macro moved_since(relation, column) -%}
    select distinct {{ column }}
    from {{ relation }}
    where touched_at > {{ newest_touch() }}
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


{#- Hook: away with the rows of this model whose value of a column moved in another one. -#}
{% macro forget_moved(relation, column) -%}
    {%- if is_incremental() -%}
        {{ forget_rows(moved_since(relation, column), [column]) }}
    {%- endif -%}
{%- endmacro %}


{#- Hook before `int_pairs_touched`: away with batches older than a week, but for the newest load of each activity,
    which says how far it came. -#}
{% macro forget_old_batches() -%}
    {%- if is_incremental() -%}
        delete from {{ this }}
        where
            user_id is not null
            and touched_at < {{ dbt.dateadd('day', -7, this_moment()) }}
            and (activity, load_id) not in (select activity, max(load_id) from {{ this }} group by activity)
    {%- endif -%}
{%- endmacro %}


{#- Hook before an incremental model: away with the pairs that it builds again. -#}
{% macro forget_touched(activities) -%}
    {%- if is_incremental() -%}
        {{ forget_rows(pairs_to_build(activities), ['user_id', 'item_id']) }}
    {%- endif -%}
{%- endmacro %}


{#- Hook: away with the rows of listeners who were forgotten. The model names the relation, so that dbt sees it. -#}
{% macro forget_listeners(forgotten) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where user_id in (select user_id from {{ forgotten }})
    {%- endif -%}
{%- endmacro %}


{#- Hook: fresh statistics, because what follows reads the table at once. A change of a twentieth of the table changes
    no plan, and counting again takes longer than the change itself. -#}
{% macro analyze() -%}
    {{ adapter.dispatch("analyze")() }}
{%- endmacro %}

{% macro default__analyze() -%}{%- endmacro %}

{% macro postgres__analyze() -%}
    {%- if is_incremental() -%}
        do $analyze$
        begin
            if (
                select
                    now.n_tup_ins + now.n_tup_del + coalesce(before.n_mod_since_analyze, 0)
                    > 0.05 * greatest(table_itself.reltuples, 0)
                from pg_class as table_itself
                inner join pg_stat_xact_all_tables as now on table_itself.oid = now.relid
                left join pg_stat_all_tables as before on table_itself.oid = before.relid
                where table_itself.oid = '{{ this }}'::regclass
            ) then
                analyze {{ this }};
            end if;
        end
        $analyze$
    {%- else -%}
        analyze {{ this }}
    {%- endif -%}
{%- endmacro %}
