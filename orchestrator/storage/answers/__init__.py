"""Questions that people ask the store, one file each."""
