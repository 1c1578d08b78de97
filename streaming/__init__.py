"""Events to topics to the lake: the contract of an event, and the jobs that store it once."""
