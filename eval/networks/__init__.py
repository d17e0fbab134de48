"""Feature networks: Inception by torch or TensorFlow, and small trained ones."""
