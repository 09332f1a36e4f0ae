"""Schedules for kernels that nobody has measured: those of the starter pack, fitted, and else a rule's."""

from workers.engines.metaschedule.starter.begin import begun, begun_record

__all__ = ["begun", "begun_record"]
