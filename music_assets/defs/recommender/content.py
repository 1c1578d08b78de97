"""What the catalogue says of items, and the model that needs nobody to have heard them."""

import dataclasses
from typing import TYPE_CHECKING

import dagster as dg

from music_assets.automation import EVERY_NIGHT
from music_assets.defs.recommender.assets import DAILY, OWNERS, Told, candidate
from music_assets.resources import PlatformResource

if TYPE_CHECKING:
    from music_assets.recommender.candidates import Candidate


@dg.asset(
    key=["recommender", "item_features"],
    deps=[
        ["marts", "dim_artist"],
        ["marts", "dim_album"],
        ["marts", "dim_track"],
        ["marts", "bridge_track_artist"],
        ["marts", "bridge_artist_tag"],
        ["marts", "bridge_track_tag"],
        ["staging", "stg_source__audio_features"],
        ["staging", "stg_source__similar_artists"],
        ["intermediate", "int_items_canonical"],
    ],
    kinds={"postgres", "scikitlearn"},
    # Some of what it reads moves once in weeks: to wait for all of it would be to wait for ever.
    automation_condition=EVERY_NIGHT,
    group_name="recommender",
    owners=OWNERS,
    freshness_policy=DAILY,
)
def item_features(platform: PlatformResource) -> dg.MaterializeResult[None]:
    """What the catalogue knows of items, heard or not: artists, genre, tags, audio features and words of the name."""
    from music_assets.recommender.item_features import ItemFeatures, read_features
    from music_assets.recommender.training import Workshop

    with platform.connect() as connection:
        found = ItemFeatures.collect(read_features(connection))
    Workshop(platform.settings().model_root).describe(found)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(found.items),
            "catalogue": sum(released is not None for released in found.released),
            "features": dg.MetadataValue.json({name: block.shape[1] for name, block in found.groups.items()}),
        }
    )


def _foreseen(platform: PlatformResource, trained: "Candidate") -> Told:
    """Show how well the content model finds who hears what nobody had heard before the cut-off."""
    from music_assets.recommender.models.content import Content
    from music_assets.recommender.shelf import foreseen
    from music_assets.recommender.training import Workshop

    workshop = Workshop(platform.settings().model_root)
    found = foreseen(Content(**trained.settings), workshop.split(), workshop.listens())
    return {f"cold_{name}": value for name, value in dataclasses.asdict(found).items()}


candidates_artist_graph = candidate(
    "artist_graph",
    "Artists whom the same listeners hear, carried to their items, fitted up to the cut-off: neighbours per item.",
    "item_features",
)
candidates_content = candidate(
    "content",
    "What the catalogue says of items, weighed up to the cut-off: features per item, heard or not.",
    "item_features",
    told=_foreseen,
)
