"""A run folder read back: its settings and records, which run a model belongs to, its mistakes."""
