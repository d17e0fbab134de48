"""Models by the names under which the authors published them."""
