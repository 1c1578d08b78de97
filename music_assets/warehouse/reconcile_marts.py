"""The queries that compare staged rows with the marts: each gives day and ids of what differs.

Staged rows that were loaded after the newest build are no difference where the marts do not have them yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

_BY_DAY: Final = """
    with built as (
        select activity, max(load_id) as load_id from intermediate.int_pairs_touched group by activity
    ),
    {touched}
    wrong (id, at) as ({query})
    select coalesce((at at time zone 'UTC')::date, date '1970-01-01'), (array_agg(id order by id))[1:%(named)s]
    from wrong group by 1 order by 1
"""

_TOUCHED: Final = """
    touched as materialized (
        select distinct user_id, item_id from intermediate.int_pairs_touched
        where user_id is not null and item_id is not null and touched_at > %(since)s
    ),
    members as materialized (
        select user_id, item_id, item_id as named_id from touched
        union
        select touched.user_id, touched.item_id, links.item_id
        from touched inner join intermediate.int_items_canonical as links on touched.item_id = links.canonical_id
    ),
    answers as materialized (
        select stored.event_id
        from intermediate.int_pairs_touched as touched
        inner join silver.recommendation_events as stored on touched.user_id = stored.user_id
            and stored.timestamp >= touched.day_touched - 1 and stored.timestamp < touched.day_touched + 1
        where touched.activity in ('recommendations', 'listens', 'songs', 'albums') and touched.touched_at > %(since)s
        union
        select recommendation_id from marts.fct_recommendations where touched_at > %(since)s
    ),
"""

_ALL: Final = {
    "plays": "intermediate.int_listens_deduplicated",
    "listens": "marts.fct_listens",
    "interactions": "marts.fct_interactions",
    "ratings": "marts.fct_ratings",
    "recommendations": "marts.fct_recommendations",
    "stored_listens": "silver.events_listens",
    "stored_views": "silver.events_views",
    "stored_clicks": "silver.events_clicks",
    "stored_ratings": "silver.events_ratings",
    "stored_answers": "silver.recommendation_events",
}
"""What each query reads, when it compares everything."""

_BY_PAIR: Final = "(select held.* from {} as held inner join touched using (user_id, item_id))"
_BY_NAME: Final = """(
    select held.* from {} as held
    inner join members on held.user_id = members.user_id and held.item_id = members.named_id
    left join intermediate.int_items_canonical as links on held.item_id = links.item_id
    where coalesce(links.canonical_id, held.item_id) = members.item_id
)"""
_BY_ANSWER: Final = "(select * from {} where {} in (select event_id from answers))"

_NEW: Final = {
    name: (
        _BY_ANSWER.format(relation, "event_id" if name == "stored_answers" else "recommendation_id")
        if name in {"recommendations", "stored_answers"}
        else (_BY_NAME if name.startswith("stored") else _BY_PAIR).format(relation)
    )
    for name, relation in _ALL.items()
}
"""What each query reads, when it compares the pairs and answers that were built since."""


def queries(since: datetime | None) -> dict[str, str]:
    """Return the query of each table.

    Args:
        since: compare what was touched after this moment, parameter `since` of the queries; None: everything.
    """
    relations, touched = (_ALL, "") if since is None else (_NEW, _TOUCHED)
    return {
        name: _BY_DAY.replace("{touched}", touched).replace("{query}", query.format(**relations))
        for name, query in _QUERIES.items()
    }


def _built(activity: str) -> str:
    return f"(select load_id from built where activity = '{activity}')"


_QUERIES: Final[dict[str, str]] = {
    # Every stored listen is in one play, and a play says nothing that none of its events says.
    "intermediate.int_listens_deduplicated": f"""
        with told as materialized (
            select plays.listen_id, plays.user_id, plays.listened_at, plays.ms_played, plays.context, plays.source,
                plays.recommendation_id, plays.source_item_id, unnest(plays.event_ids) as event_id
            from {{plays}} as plays
        ),
        stored as materialized (select * from {{stored_listens}} as listens)
        select coalesce(stored.event_id, told.event_id), coalesce(stored.timestamp, told.listened_at)
        from stored full outer join told using (event_id)
        where stored.event_id is null or stored.user_id is distinct from coalesce(told.user_id, stored.user_id)
            or (told.event_id is null and stored.load_id <= {_built("listens")})
        union all
        select min(told.event_id), told.listened_at
        from told inner join stored using (event_id)
        group by told.listen_id, told.listened_at, told.ms_played, told.context, told.source,
            told.recommendation_id, told.source_item_id
        having min(stored.timestamp) <> told.listened_at or count(*) <> count(distinct stored.event_id)
            or not bool_or(stored.ms_played is not distinct from told.ms_played)
            or not bool_or(stored.context is not distinct from told.context)
            or not bool_or(coalesce(stored.source, 'unknown') = told.source)
            or not bool_or(stored.recommendation_id is not distinct from told.recommendation_id)
            or not bool_or(stored.item_id = told.source_item_id)
    """,
    "marts.fct_listens": """
        select coalesce(plays.event_id, facts.event_id), coalesce(plays.listened_at, facts.listened_at)
        from {plays} as plays
        full outer join {listens} as facts on plays.listen_id = facts.listen_id
        where (plays.user_id, plays.item_id, plays.event_id, plays.source_item_id, plays.listened_at,
            plays.ms_played, plays.source, plays.context, plays.recommendation_id)
            is distinct from (facts.user_id, facts.item_id, facts.event_id, facts.source_item_id, facts.listened_at,
            facts.ms_played, facts.source, facts.context, facts.recommendation_id)
    """,
    "marts.fct_ratings": f"""
        select coalesce(stored.event_id, facts.event_id), coalesce(stored.timestamp, facts.rated_at)
        from {{stored_ratings}} as stored full outer join {{ratings}} as facts using (event_id)
        where (facts.event_id is not null or stored.load_id <= {_built("ratings")})
            and (stored.user_id, stored.rating, stored.timestamp, stored.source, stored.context,
            stored.recommendation_id)
            is distinct from (facts.user_id, facts.rating, facts.rated_at, facts.source, facts.context,
            facts.recommendation_id)
    """,
    "marts.fct_recommendations": f"""
        select coalesce(stored.event_id, facts.recommendation_id), coalesce(stored.timestamp, facts.shown_at)
        from {{stored_answers}} as stored
        full outer join (
            select recommendation_id, min(user_id) as user_id, min(shown_at) as shown_at,
                min(model_version) as model_version, array_agg(source order by position) as sources,
                array_agg(reason order by position) as reasons, min(experiment) as experiment, min(arm) as arm,
                array_agg(propensity order by position) filter (where propensity is not null) as propensities
            from {{recommendations}} as answers group by recommendation_id
        ) as facts on stored.event_id = facts.recommendation_id
        where (stored.event_id is null or coalesce(cardinality(stored.item_ids), 0) > 0)
            and (facts.recommendation_id is not null or stored.load_id <= {_built("recommendations")})
            and (stored.user_id, stored.timestamp, stored.model_version, stored.sources, stored.reasons,
                stored.experiment, stored.arm, stored.propensities)
            is distinct from (facts.user_id, facts.shown_at, facts.model_version, facts.sources, facts.reasons,
                facts.experiment, facts.arm, facts.propensities)
    """,
    "marts.fct_interactions": f"""
        select coalesce(met.user_id, facts.user_id) || ' ' || coalesce(met.item_id, facts.item_id),
            coalesce(met.last_at, facts.last_at)
        from (
            select user_id, coalesce(links.canonical_id, events.item_id) as item_id, sum(plays) as plays,
                sum(views) as views, sum(clicks) as clicks, min(first_at) as first_at, max(last_at) as last_at,
                bool_or(is_later) as is_later
            from (
                select user_id, item_id, 1 as plays, 0 as views, 0 as clicks, listened_at as first_at,
                    listened_at as last_at, false as is_later
                from {{plays}} as plays
                union all
                select user_id, item_id, 0, 1, 0, timestamp, timestamp, load_id > {_built("views")}
                from {{stored_views}} as views
                union all
                select user_id, item_id, 0, 0, 1, timestamp, timestamp, load_id > {_built("clicks")}
                from {{stored_clicks}} as clicks
            ) as events
            left join intermediate.int_items_canonical as links on events.item_id = links.item_id
            group by 1, 2
        ) as met
        full outer join {{interactions}} as facts on met.user_id = facts.user_id and met.item_id = facts.item_id
        where not coalesce(met.is_later, false)
            and (met.plays, met.views, met.clicks, met.first_at, met.last_at)
            is distinct from (facts.plays, facts.views, facts.clicks, facts.first_at, facts.last_at)
    """,
}
