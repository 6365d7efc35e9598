"""PEARL, MAML-TRPO, RL² and ProMP on one harness."""
