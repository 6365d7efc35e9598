"""The on-policy baselines that stand beside PEARL."""

DISTRIBUTION = "pearl-bench"
"""Identity of this package; PyPI has another top-level package of the same name."""
