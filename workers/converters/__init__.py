"""The converters: one package each, with all that knows its framework, and the attribute ``CONVERTER``.

What a converter is, is in :mod:`workers.converters.contract`. More of them lie in the folders that the
variable ``TUNEFLEET_CONVERTER_PATH`` names (several are separated as in ``PATH``). Importing one imports no
framework.
"""

from workers.converters.find import CONVERTERS, VARIABLE, ConverterPackage, find_converter, packages

__all__ = ["CONVERTERS", "VARIABLE", "ConverterPackage", "find_converter", "packages"]
