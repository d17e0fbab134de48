"""What decides before jobs run: which models, samples and metrics a table needs, and where."""
