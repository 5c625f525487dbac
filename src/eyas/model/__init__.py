"""Networks by name, weights into them, the trained classifier in one file."""
