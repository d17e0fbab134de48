"""What every stage writes: atomic files, manifests, events and sample batches. Standard library and numpy only."""
