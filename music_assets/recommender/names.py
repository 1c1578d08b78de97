"""What bundle, leaderboard and gate call the recipes; apart from them, so that naming one loads no library."""

from __future__ import annotations

from typing import Final

POPULARITY: Final = "popularity"
EASE: Final = "ease"
IALS: Final = "ials"
IALS_LOG: Final = "ials_log"
RP3BETA: Final = "rp3beta"
ITEM_KNN: Final = "item_knn"
BPR: Final = "bpr"
SESSION: Final = "session"
CONTENT: Final = "content"
ARTIST_GRAPH: Final = "artist_graph"
GF_CF: Final = "gf_cf"
MULT_DAE: Final = "mult_dae"
USER_KNN: Final = "user_knn"
TWO_STAGE: Final = "two_stage"
CONTEXT: Final = "context"
"""What brought an item that is there for where it is heard; no recipe."""
HEARD: Final = "heard"
"""What brought an item that the listener knows; no recipe."""

FIRST_STAGE: Final = (EASE, IALS, RP3BETA, ITEM_KNN, GF_CF)
"""The recipes whose proposals the second stage orders; the first one explains."""

CANDIDATES: Final = (POPULARITY, *FIRST_STAGE, BPR, SESSION, CONTENT, ARTIST_GRAPH)
"""All that is trained and measured daily; what proposes nothing is there to be compared with, content also for what
nobody has heard."""

STACKED: Final = (RP3BETA, ITEM_KNN, USER_KNN, EASE, GF_CF, IALS, IALS_LOG, MULT_DAE)
"""The same with a second iALS, an autoencoder and user-kNN, where no answer has to be quick and nothing is kept: they
cost 256 and 400 more numbers for each item, and every history.

Those that try settings quickest come first: each leaves what it did not need of its time to those that follow."""
