"""Data as people really have it, and what eyas does with each kind: the rows of docs/everyday-data.md.

A module of this package is a section of the page: its `TITLE` and its `CASES`. tests/test_everyday.py runs every case;
`python -m tests.everyday > docs/everyday-data.md` writes the page.
"""
