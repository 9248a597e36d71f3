"""A run: its settings, its backend, what it has built and what it leaves behind."""
