"""Records of export files, invented."""

from __future__ import annotations

from typing import Any


def spotify(**overrides: Any) -> dict[str, Any]:
    """One play of Spotify's extended history."""
    record = {
        "ts": "2024-01-01T12:00:00Z", "platform": "linux", "ms_played": 180000, "conn_country": "BE",
        "ip_addr": "198.51.100.1", "master_metadata_track_name": "Low Tide",
        "master_metadata_album_artist_name": "Harbour Choir", "master_metadata_album_album_name": "Moorings",
        "spotify_track_uri": f"spotify:track:{'0' * 22}", "episode_name": None, "episode_show_name": None,
        "spotify_episode_uri": None, "reason_start": "trackdone", "reason_end": "trackdone", "shuffle": False,
        "skipped": False, "offline": False, "offline_timestamp": 1704110400, "incognito_mode": False,
    }  # fmt: skip
    return record | overrides


def lastfm(**overrides: Any) -> dict[str, Any]:
    """One scrobble of Last.fm's recent tracks."""
    record = {
        "artist": {"mbid": "", "#text": "Harbour Choir"}, "streamable": "0", "mbid": "", "name": "Low Tide",
        "image": [{"size": "small", "#text": ""}], "album": {"mbid": "", "#text": ""},
        "date": {"uts": "1749776100", "#text": "13 Jun 2025, 00:55"},
    }  # fmt: skip
    return {name: value for name, value in (record | overrides).items() if value is not None}


def listen(**metadata: Any) -> dict[str, Any]:
    """One listen of ListenBrainz."""
    about = {"artist_name": "Harbour Choir", "track_name": "Low Tide", "release_name": "Moorings"}
    return {"inserted_at": 1749776200, "listened_at": 1749776100, "track_metadata": about | metadata}
