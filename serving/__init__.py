"""The thin API: takes events in, serves the gold assets; no Spark, no Dagster, no training."""
