"""The thinking: interactions, split, models, metrics, gate and bundle. Knows neither Dagster nor Spark."""
