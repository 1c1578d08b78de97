"""What a rung offers, narrowed to what was asked for and, for a context, filled up with what is heard there."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final

from music_assets.recommender.names import HEARD, POPULARITY
from music_assets.recommender.scored import Scored
from serving.recommend.listed import Listed
from streaming.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from music_assets.recommender.bundle import Bundle
    from serving.catalog import Detail
    from serving.recommend.choice import Choice, Listener
    from serving.recommend.filters import Wanted

_NAMED: Final = 20
"""Valid contexts that an error names."""


def refuse_unknown(context: str | None, bundle: Bundle | None) -> None:
    """Refuse a context in which nothing is heard.

    Raises:
        ContractError: it is not among those of the bundle.
    """
    known = bundle.contents.contexts if bundle is not None else {}
    if context is None or context in known:
        return
    named = ", ".join(list(known)[:_NAMED]) + (", ..." if len(known) > _NAMED else "")
    message = f"context: nothing is known of this one; valid: {named}" if known else "context: none is known yet"
    raise ContractError("out_of_range", "context", message)


def narrowed(
    choice: Choice, wanted: Wanted, *, bundle: Bundle | None, listener: Listener, hidden: Set[str],
    details: Mapping[str, Detail], k: int,
) -> Choice:  # fmt: skip
    """Return the k best of a choice that are wanted; new and known items take turns where both are wanted.

    Args:
        choice: what a rung offers.
        wanted: what was asked for, in a context that the bundle knows.
        bundle: what serves, if anything does.
        listener: who asks.
        hidden: item ids not to return.
        details: what the catalogue says of items.
        k: most items to return.
    """
    history, items = listener.history.heard, list(choice.items.items)
    known = _known(history, hidden) if wanted.heard else []
    if wanted.context is not None and bundle is not None:
        there = frozenset(bundle.contents.contexts[wanted.context])
        # What is popular everywhere gives way to what is popular there.
        items = [item for item in items if item.item_id in there and item.source != POPULARITY]
        known = [item for item in known if item.item_id in there]
        if not items:
            choice = replace(choice, rung="popular", as_of=bundle.created_at)
        items += bundle.heard_in(wanted.context, exclude=history.keys() | hidden | {item.item_id for item in items})

    def fitting(offered: Sequence[Scored]) -> list[Scored]:
        return [item for item in offered if wanted.takes(item.item_id, details.get(item.item_id))]

    return replace(choice, items=Listed(tuple(_alternating(fitting(items), fitting(known))[:k])))


def _known(history: Mapping[str, float], hidden: Set[str]) -> list[Scored]:
    """Return what a listener knows, what is played most first."""
    items = sorted((item for item in history if item not in hidden), key=lambda item: (-history[item], item))
    return [Scored(item, history[item], HEARD, "you know it already") for item in items]


def _alternating(one: Sequence[Scored], other: Sequence[Scored]) -> list[Scored]:
    return [item for item in chain.from_iterable(zip_longest(one, other)) if item is not None]
