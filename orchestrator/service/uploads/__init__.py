"""Models that were uploaded: kept by what they are, so that a submitted one is never gone."""
