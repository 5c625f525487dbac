"""`eyas inspect`: a look at every image of a set before it is trained on."""
