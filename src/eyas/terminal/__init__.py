"""Text on a terminal or in a notebook: cleaned, progress, cards."""
