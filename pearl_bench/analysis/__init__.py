"""Figures and tables, drawn from the published CSV files and from nothing else."""
