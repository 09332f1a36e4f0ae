"""What people and programs are told of the store: JSON documents, and numbers in words.

The commands write these documents with ``--json``, and the service answers with the same.
"""
