"""One file a metric, and the registry that names them."""
