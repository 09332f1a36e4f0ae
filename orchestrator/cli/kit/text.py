"""Numbers, times and paths as people read them: those of the documents, for the commands."""

from orchestrator.documents.text import *  # noqa: F403
from orchestrator.documents.text import __all__ as __all__
