"""Keywords of the smallest networks that have every part."""

_SHARED = {
    "image_size_px": 8,
    "depth": 1,
    "attention_resolutions": [4],
    "biggan_updown": True,
    "num_groups": 8,
}
UNET = {**_SHARED, "out_channels": 6, "channels": 32, "channel_mult": [1, 1], "heads": 2}
CLASSIFIER = {
    **_SHARED,
    "num_classes": 10,
    "channels": 16,
    "channel_mult": [1, 2],
    "head_channels": 8,
}
