"""Alembic's entry: runs the migrations in one transaction on the given database."""

from alembic import context
from sqlalchemy import create_engine, make_url, pool, text


def _run() -> None:
    url = make_url(context.config.attributes["database_url"]).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, version_table_schema="ops", transaction_per_migration=False)
        connection.execute(text("create schema if not exists ops"))
        # Two that start at once must not both find the first revision missing.
        connection.execute(text("select pg_advisory_lock(hashtext('music.migrations'))"))
        connection.commit()
        with context.begin_transaction():
            context.run_migrations()


_run()
