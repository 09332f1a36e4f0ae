"""Models as the store knows them: requests, extractions, and how a stored one is found."""
