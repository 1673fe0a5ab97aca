"""Short sounds, as pictures of a height of 1."""
