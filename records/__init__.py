"""What every stage writes: atomic files, digests, events, batches. Needs numpy and no more."""
