"""Topics and lake tables as Dagster runs them."""
