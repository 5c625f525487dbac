"""One image: which files are images, decoding, preprocessing; and a set of them."""
