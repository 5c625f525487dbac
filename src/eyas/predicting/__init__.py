"""Images to classify -> rows of answers."""
