"""Statistics of one listener, computed in one statement from `marts.fct_listens`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from serving.stats.schemas import StatsAnswer
from serving.zones import wanted_zone
from streaming.errors import ContractError

if TYPE_CHECKING:
    from serving.database import Database
    from serving.privacy.service import Privacy
    from serving.stats.schemas import Range

_SECONDS: Final = 2.0
_DAYS: Final[dict[str, int | None]] = {"week": 7, "month": 30, "year": 365, "all": None}
_DEFAULT_ZONE: Final = "UTC"

_ZONE: Final = "select time_zone from source.listener_zones where listener_id = %(listener_id)s"

# Bounds in weeks use the index; the days are those of the zone that is asked for.
_STATS: Final = """
with mine as materialized (
    select listens.*, listens.listened_at at time zone %(zone)s as heard_at
    from marts.fct_listens as listens
    where listens.user_id = %(listener_id)s
        and (%(first)s::date is null or listens.local_week >= %(first)s::date - 8)
        and listens.local_week <= %(last)s::date + 1
),
within as materialized (
    select * from mine
    where heard_at < %(last)s::date + 1 and (%(first)s::date is null or heard_at >= %(first)s::date)
),
top_artists as (
    select within.artist_id as item_id, artists.artist_name as name, count(*) as listens
    from within left join marts.dim_artist as artists on within.artist_id = artists.artist_id
    where within.artist_id is not null
    group by within.artist_id, artists.artist_name order by listens desc, item_id limit %(k)s
),
top_tracks as (
    select within.track_id as item_id, tracks.track_name as name, artists.artist_name, count(*) as listens
    from within
    left join marts.dim_track as tracks on within.track_id = tracks.track_id
    left join marts.dim_artist as artists on tracks.artist_id = artists.artist_id
    where within.track_id is not null
    group by within.track_id, tracks.track_name, artists.artist_name order by listens desc, item_id limit %(k)s
),
days as (
    select heard_at::date as day, count(*) as listens, coalesce(sum(ms_played), 0) / 60000.0 as minutes
    from within group by day order by day desc limit 400
)
select count(*) as listens, coalesce(sum(ms_played), 0)::float / 60000 as minutes,
    count(distinct artist_id) as artists, count(distinct track_id) as tracks,
    count(*) filter (where is_skip) as skips, count(*) filter (where origin = 'recommended') as recommended,
    (select coalesce(jsonb_agg(top_artists order by listens desc, item_id), '[]') from top_artists) as top_artists,
    (select coalesce(jsonb_agg(top_tracks order by listens desc, item_id), '[]') from top_tracks) as top_tracks,
    (select coalesce(jsonb_agg(days order by day), '[]') from days) as days,
    (
        select array_agg(coalesce(counted.listens, 0) order by hour)
        from generate_series(0, 23) as hour
        left join (select extract(hour from heard_at)::int as hour, count(*) as listens from within group by 1)
            as counted using (hour)
    ) as hours,
    (
        select array_agg(coalesce(counted.listens, 0) order by weekday)
        from generate_series(1, 7) as weekday
        left join (select extract(isodow from heard_at)::int as weekday, count(*) as listens from within group by 1)
            as counted using (weekday)
    ) as weekdays,
    (select max(touched_at) from marts.fct_listens) as as_of
from within
"""


class Stats:
    """Reads statistics."""

    def __init__(self, warehouse: Database, people: Privacy) -> None:
        self._warehouse = warehouse
        self._people = people

    async def read(
        self, user_id: str, *, span: Range, first: date | None, last: date | None, zone: str | None, k: int
    ) -> StatsAnswer:
        """Return how a user listened.

        Args:
            user_id: as the client names the user.
            span: days that end today, where no days are given.
            first: first day.
            last: last day.
            zone: in which days are counted; absent: that of the listener.
            k: items of each list.

        Raises:
            ContractError: the zone is none, or the days are the wrong way round.
            HTTPException: nobody of this user id is known.
            UnavailableError: PostgreSQL does not answer, or nothing is built yet.
        """
        listener_id = await self._people.listener(user_id)
        if zone is None:
            rows = await self._warehouse.rows(_ZONE, {"listener_id": listener_id})
            zone = rows[0]["time_zone"] if rows else _DEFAULT_ZONE
        today = datetime.now(UTC).astimezone(wanted_zone(zone)).date()
        last = last or today
        days = _DAYS[span]
        if first is None and days is not None:
            first = date.fromordinal(max(1, last.toordinal() - days + 1))
        if first is not None and first > last:
            raise ContractError("out_of_range", "last", f"last: {last} lies before the first day, {first}")
        values: dict[str, Any] = {"listener_id": listener_id, "zone": zone, "first": first, "last": last, "k": k}
        [found] = await self._warehouse.rows(_STATS, values, seconds=_SECONDS)
        return StatsAnswer(zone=zone, first_day=first, last_day=last, degraded=False, **found)
