"""What the world says the API refuses is what its edge refuses, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

from music_assets.sources import synthetic
from serving.events.edge import Refusal, read

ANCHOR = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


def test_the_edge_refuses_exactly_the_planted_events_for_the_planted_fields() -> None:
    world = synthetic.build(7, ANCHOR, synthetic.Size(listeners=80, artists=12, tracks=120, events=4000))
    refused: Counter[str | None] = Counter()
    for place, event in enumerate(world.feed.events()):
        outcome = read(json.dumps(event).encode(), ANCHOR)
        if isinstance(outcome, Refusal):
            refused[outcome.field] += 1
        field = outcome.field if isinstance(outcome, Refusal) else None
        assert field == world.refused.get(place), event
    assert refused == world.feed.truth.rejected
