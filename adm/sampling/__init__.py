"""Drawing samples, and what is measured on noisy images."""
