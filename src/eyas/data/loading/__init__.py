"""Where decoded pixels are kept, and processes that read."""
