"""The warehouse's copy of what was shown learns who was in which arm of an experiment and how likely each item was."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The loader makes the table when it first loads; one that is there already gets the columns here.
    op.execute(
        """
        alter table if exists silver.recommendation_events
            add column if not exists experiment text,
            add column if not exists arm text,
            add column if not exists propensities double precision[]
        """
    )
