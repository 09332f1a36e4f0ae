"""Campaigns, one command a file: from ``tune`` to ``trials``, and what shows how they go."""
