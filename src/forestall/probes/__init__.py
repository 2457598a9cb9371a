"""Safe checks over the network."""
