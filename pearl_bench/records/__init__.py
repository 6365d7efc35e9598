"""Everything that touches a file: run folders, checkpoints, published results."""
