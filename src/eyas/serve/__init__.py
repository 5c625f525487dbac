"""The HTTP server: an API, and a page for the browser."""
