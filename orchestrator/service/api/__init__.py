"""The API: the documents of the commands' ``--json``, and what changes something."""
