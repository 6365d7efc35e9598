"""Everything that tunes the computer, and nothing else."""
