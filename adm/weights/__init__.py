"""Weights as files: safetensors under the released checkpoints' parameter names."""
