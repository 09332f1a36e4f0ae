"""TensorFlow's side, a file for each kind of source. Runs in the converter's own interpreter alone."""
