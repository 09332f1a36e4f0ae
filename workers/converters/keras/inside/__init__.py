"""Keras' side: loading, tracing, exporting. Runs in the converter's own interpreter alone."""
