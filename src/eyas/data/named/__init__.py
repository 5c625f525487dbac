"""Data sets that are known by name and download themselves."""
