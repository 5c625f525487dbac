"""Random changes to training images, and a user's own function."""
