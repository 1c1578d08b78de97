"""The Dagster code location: everything that lives under `defs/`, and nothing else."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load every definition below `defs/`."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
