"""The embedded stack: starts, supervises and stops every part of the platform on one machine.

A part whose address a setting gives (`KAFKA_BOOTSTRAP_SERVERS`, `DATABASE_URL`, `REDIS_URL`) is somebody
else's to run and is not started.
"""
