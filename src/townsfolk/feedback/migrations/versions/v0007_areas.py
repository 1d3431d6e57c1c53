"""Turns name the areas that their villager stood in: limits of an area count what was done there."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("turns", sa.Column("areas", sa.Text(), nullable=True))
