"""Training up to a mark, with exact resume."""
