"""File formats without knowledge of models: JSON, YAML, HDF5, zip archives; writing files."""
