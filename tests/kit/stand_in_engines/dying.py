"""An engine whose import takes its process down."""

import os
import sys

print("the library said its last words", file=sys.stderr, flush=True)
os._exit(7)
