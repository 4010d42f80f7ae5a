"""One request in, one reply or one subscription out."""
