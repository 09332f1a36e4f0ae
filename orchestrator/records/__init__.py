"""Records in and out: JSON Lines from store to store, and the logs of engines' own tools."""
