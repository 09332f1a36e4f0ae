"""A store behind a service: asked over HTTP, its documents read back into the rows that they were made of."""
