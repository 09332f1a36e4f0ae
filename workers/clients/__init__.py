"""An engine process as it is called: typed, one method for each of the engine's."""
