"""Indices for what is asked often: a version's outcomes, a player's rows, the oldest ones."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NEW = (
    ("turns", ["game_id", "player"]),
    ("turns", ["adapter_hash", "persona", "started_at"]),
    ("turns", ["started_at"]),
    ("demos", ["received_at"]),
    ("engagement", ["game_id", "player"]),
    ("engagement", ["received_at"]),
)


def upgrade() -> None:
    op.drop_index("ix_turns_adapter_hash", "turns")
    for table, columns in NEW:
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
