"""PEARL: off-policy meta-RL with a probabilistic context variable."""
