"""Documents read back into rows: for what :mod:`orchestrator.documents` writes, functions that read it.

What is read and written again is the same document, so that a command says the same of a service's store as
of one here.
"""
