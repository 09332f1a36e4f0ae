"""An engine whose TVM is missing."""

import a_tvm_that_is_not_installed  # type: ignore[import-not-found]  # noqa: F401
