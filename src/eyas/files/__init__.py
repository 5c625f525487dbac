"""Files that are whole or not there, tensors in them, what the systems do differently."""
