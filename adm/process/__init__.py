"""The diffusion process: coefficients, sampling steps, guidance, likelihood, random numbers."""
