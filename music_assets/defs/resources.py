"""The resources every stage uses."""

import dagster as dg
from dagster_pyspark import LazyPySparkResource

from music_assets.resources import PlatformResource
from music_assets.settings import settings
from streaming.spark import spark_config


@dg.definitions
def resources() -> dg.Definitions:
    """Bind the resources by name."""
    return dg.Definitions(
        resources={
            "platform": PlatformResource(),
            "pyspark": LazyPySparkResource(spark_config=spark_config(settings())),
        }
    )
