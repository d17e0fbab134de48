"""ADM: data, models, diffusion process, training and sampling."""
