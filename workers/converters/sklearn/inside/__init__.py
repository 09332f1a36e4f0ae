"""scikit-learn's side: loading, exporting, running. Runs in the converter's own interpreter alone."""
