"""The pages of models and of sample sets."""
