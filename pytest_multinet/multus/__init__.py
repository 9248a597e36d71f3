"""Multus: its annotation and delegates, and its installation on a real cluster."""
