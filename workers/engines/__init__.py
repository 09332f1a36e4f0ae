"""The engines: one package each, with all that knows its compiler, and the attribute ``ENGINE``.

:mod:`workers.environments.packages` says where else packages of engines may lie, and
:mod:`workers.environments.load` imports one.
"""
