"""Links between ids in PostgreSQL: computed ones come and go with the names, a person's verdict stays above them.

A link leads to an id that itself leads nowhere, so that a reader needs one look. Every change is kept in
`source.item_link_history`, which is how a merge is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from psycopg.rows import class_row

from music_assets.resolution.match import ACTIVE, Match
from streaming.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

Status = Literal["active", "proposed", "rejected"]
RULES: Final = "rules"
"""Who decided what no person did."""

_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('source.item_links', 0))"
_SELECT: Final = "select item_id, canonical_id, method, confidence, status, decided_by from source.item_links"
_UPSERT: Final = """
    insert into source.item_links (item_id, canonical_id, method, confidence, status, decided_by)
    values (%(item_id)s, %(canonical_id)s, %(method)s, %(confidence)s, %(status)s, %(decided_by)s)
    on conflict (item_id) do update set
        canonical_id = excluded.canonical_id, method = excluded.method, confidence = excluded.confidence,
        status = excluded.status, decided_by = excluded.decided_by, decided_at = now()
"""
_HISTORY: Final = """
    insert into source.item_link_history (item_id, canonical_id, action, method, confidence, decided_by)
    values (%(item_id)s, %(canonical_id)s, %(action)s, %(method)s, %(confidence)s, %(decided_by)s)
"""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A row of `source.item_links`."""

    item_id: str
    canonical_id: str
    method: str
    confidence: float
    status: Status
    decided_by: str


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a record of matches changed, in links: `active` and `proposed` are what holds afterwards."""

    written: int
    removed: int
    active: int
    proposed: int


def read(conn: Connection) -> dict[str, Link]:
    """Return all links by item id."""
    with conn.cursor(row_factory=class_row(Link)) as cursor:
        return {link.item_id: link for link in cursor.execute(_SELECT)}


def record(conn: Connection, matches: Sequence[Match]) -> Changes:
    """Make the computed links those of `matches`, in one transaction; a person's verdict on an id is not touched.

    An id that a person gave a verdict on is left to persons, and every link is led to where its target leads.
    """
    with conn.transaction():
        conn.execute(_LOCK)
        held = read(conn)
        wanted = _flat(_without_circles(_persons(held), _computed(matches)))
        changed, gone = _write(conn, held, wanted, action="linked")
    statuses = [link.status for link in wanted.values()]
    return Changes(
        written=changed,
        removed=gone,
        active=statuses.count("active"),
        proposed=statuses.count("proposed"),
    )


def decide(conn: Connection, item_id: str, canonical_id: str, *, same: bool, by: str) -> Link:
    """Record a person's verdict on whether two ids mean one item.

    Raises:
        ConfigurationError: the ids are equal, of different kinds, or `canonical_id` already leads to `item_id`.
    """
    if item_id == canonical_id or item_id.partition(":")[0] != canonical_id.partition(":")[0]:
        raise ConfigurationError(f"{item_id} and {canonical_id} must be two ids of one kind, such as two artists")
    if by == RULES:
        raise ConfigurationError(f"decided_by must name a person, not {RULES!r}")
    status: Status = "active" if same else "rejected"
    verdict = Link(
        item_id=item_id, canonical_id=canonical_id, method="person", confidence=1.0, status=status, decided_by=by
    )
    with conn.transaction():
        conn.execute(_LOCK)
        held = read(conn)
        if same and _end(held, canonical_id) == item_id:
            raise ConfigurationError(f"{canonical_id} already leads to {item_id}: undo that first")
        rules = {key: link for key, link in held.items() if link.decided_by == RULES}
        wanted = _flat(_without_circles({**_persons(held), item_id: verdict}, rules))
        _write(conn, held, wanted, action="accepted" if same else "rejected")
    return wanted[item_id]


def undo(conn: Connection, item_id: str, *, by: str) -> Link:
    """Take back the link of an id, whoever made it; the rules may find a computed one again.

    Raises:
        ConfigurationError: the id has no link.
    """
    with conn.transaction():
        conn.execute(_LOCK)
        link = read(conn).get(item_id)
        if link is None:
            raise ConfigurationError(f"{item_id} has no link")
        conn.execute("delete from source.item_links where item_id = %s", (item_id,))
        conn.execute(_HISTORY, {**vars(link), "action": "undone", "decided_by": by})
    return link


def _write(conn: Connection, held: Mapping[str, Link], wanted: Mapping[str, Link], *, action: str) -> tuple[int, int]:
    """Make the links in the database those wanted; return how many were written and how many removed."""
    changed = [link for item_id, link in wanted.items() if held.get(item_id) != link]
    gone = [link for item_id, link in held.items() if item_id not in wanted]
    with conn.cursor() as cursor:
        cursor.executemany(_UPSERT, [vars(link) for link in changed])
        cursor.executemany("delete from source.item_links where item_id = %(item_id)s", [vars(link) for link in gone])
        cursor.executemany(_HISTORY, [*_noted(changed, action), *_noted(gone, "unlinked")])
    return len(changed), len(gone)


def _persons(links: Mapping[str, Link]) -> dict[str, Link]:
    return {item_id: link for item_id, link in links.items() if link.decided_by != RULES}


def _computed(matches: Iterable[Match]) -> dict[str, Link]:
    """The surest match of each id."""
    links = {}
    for match in sorted(matches, key=lambda match: match.confidence):
        status: Status = "active" if match.confidence >= ACTIVE else "proposed"
        links[match.item_id] = Link(**vars(match), status=status, decided_by=RULES)
    return links


def _without_circles(persons: Mapping[str, Link], computed: Mapping[str, Link]) -> dict[str, Link]:
    """Persons' links with the computed ones beside them that do not lead back to their own id."""
    links = dict(persons)
    for item_id, link in computed.items():
        if item_id not in persons and _end(links, link.canonical_id) != item_id:
            links[item_id] = link
    return links


def _flat(links: Mapping[str, Link]) -> dict[str, Link]:
    """Lead every link to where its target leads."""

    def led(link: Link) -> Link:
        end = link.canonical_id if link.status == "rejected" else _end(links, link.canonical_id)
        return Link(**{**vars(link), "canonical_id": end})

    return {item_id: led(link) for item_id, link in links.items()}


def _end(links: Mapping[str, Link], item_id: str) -> str:
    """Return the id that the links of an id lead to."""
    while (link := links.get(item_id)) is not None and link.status == "active":
        item_id = link.canonical_id
    return item_id


def _noted(links: Iterable[Link], action: str) -> list[dict[str, Any]]:
    return [{**vars(link), "action": action} for link in links]
