"""What bundle, leaderboard and gate call the recipes; apart from them, so that naming one loads no library."""

from __future__ import annotations

from typing import Final

POPULARITY: Final = "popularity"
EASE: Final = "ease"
IALS: Final = "ials"
RP3BETA: Final = "rp3beta"
ITEM_KNN: Final = "item_knn"
GF_CF: Final = "gf_cf"
TWO_STAGE: Final = "two_stage"

FIRST_STAGE: Final = (EASE, IALS, RP3BETA, ITEM_KNN, GF_CF)
"""The recipes whose proposals the second stage orders; the first one explains."""
