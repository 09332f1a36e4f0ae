"""Alembic's folder. A released revision is never edited: a change is a new file in ``versions``.

Its number also goes to the end of ``orchestrator.storage._schema.REVISIONS``; a test compares the two.
"""
