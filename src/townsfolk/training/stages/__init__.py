"""A dataset, as tokens -> an adapter. Torch lives here and nowhere else."""
