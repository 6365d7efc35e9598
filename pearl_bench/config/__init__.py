"""Command lines and conf/ made into frozen dataclasses."""
