"""Demonstrations carry what was seen at each step; engagement names its turn."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("demo_id", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("name", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("number", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("place", sa.JSON(), nullable=True),
        sa.Column("observation", sa.JSON(), nullable=True),
    ):
        op.add_column("demos", column)
    op.create_index("ix_demos_demo_id_number", "demos", ["demo_id", "number"])
    op.add_column("engagement", sa.Column("turn_id", sa.String(length=64), nullable=False, server_default=""))
    op.create_index("ix_engagement_turn_id", "engagement", ["turn_id"])
