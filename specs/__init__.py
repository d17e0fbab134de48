"""What travels between stages, and the rules it must keep. Imports no torch."""
