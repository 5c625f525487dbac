"""A trained model as one file that works without eyas."""
