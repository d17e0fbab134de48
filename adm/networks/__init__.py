"""The networks: blocks, attention, UNet, upsampler, classifier."""
