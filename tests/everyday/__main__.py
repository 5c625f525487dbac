"""Writes docs/everyday-data.md to stdout."""

import sys

from tests.everyday.page import page

sys.stdout.write(page())
