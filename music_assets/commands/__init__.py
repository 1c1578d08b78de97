"""Commands of `music` by subject; `music_assets.cli` mounts them."""
