"""Campaigns: what is wanted, what to do next, and the loop that does it."""
