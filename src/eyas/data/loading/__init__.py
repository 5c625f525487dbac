"""Marks the room; empty."""
