"""One pass over a set, every score that follows, how far to trust it."""
