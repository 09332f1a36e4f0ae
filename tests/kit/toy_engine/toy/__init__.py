"""Matrix products in plain C; see the README beside this folder."""

from .engine import ToyEngine

__all__ = ["ENGINE"]

ENGINE = ToyEngine()
