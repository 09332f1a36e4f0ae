"""The engines: one package each, with all that knows its compiler, and the attribute ``ENGINE``.

An engine is imported inside its own engine process and nowhere else. :mod:`workers.environments.packages`
says where else packages of engines may lie.
"""
