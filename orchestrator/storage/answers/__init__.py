"""Questions that people ask of the stored trials, one file each.

Answered in SQL, so that no answer loads trials it does not show.
"""
