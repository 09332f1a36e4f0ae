"""What TVM's frontend reads wrong or not at all, written out in operators that it reads right.

Each file holds the rules of one kind. A rule looks at one node, in a model whose shapes are known and whose
constants are folded, and says which operators mean the same; :func:`rewrite` applies them all.
"""

from workers.models.rewrites.apply import rewrite

__all__ = ["rewrite"]
