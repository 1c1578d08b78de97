"""Which data the demo sends."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from music_assets.demo import ask, feeds
from music_assets.sources.synthetic import Size
from streaming.errors import ConfigurationError

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = Size(listeners=30, artists=6, tracks=60, events=1000)


@pytest.mark.parametrize("data", ["", "spotify", "hetrec", "hetrec:", "synthetic:x"])
def test_unknown_data_is_refused_with_the_valid_ones(data: str) -> None:
    with pytest.raises(ConfigurationError, match="valid: synthetic, hetrec:PATH, radio:PATH"):
        feeds.choose(data, seed=1, anchor=ANCHOR, size=SIZE)


def test_a_folder_of_one_csv_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text("radio,date,time,title,artist\none,2018-01-01,10:00,A,B\n")
    feed = feeds.choose(f"radio:{tmp_path}", seed=1, anchor=ANCHOR, size=SIZE)
    assert (feed.truth.posted, feed.fixed) == (1, True)
    (tmp_path / "more.csv").touch()
    with pytest.raises(ConfigurationError, match="holds 2 CSV files"):
        feeds.choose(f"radio:{tmp_path}", seed=1, anchor=ANCHOR, size=SIZE)


def test_listeners_to_ask_for_have_listened() -> None:
    feed = feeds.choose("synthetic", seed=1, anchor=ANCHOR, size=SIZE)
    users = ask.some_listeners(feed.events())
    assert len(set(users)) == ask.LISTENERS
    listening = {
        event["user_id"] for event in feed.events() if event.get("event_type") == "listen" and "user_id" in event
    }
    assert set(users) <= listening
