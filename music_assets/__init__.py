"""Sources, lake, warehouse and recommender as one Dagster asset graph, and the `music` command."""
