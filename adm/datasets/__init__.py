"""Image sets from data that a user brings: ImageNet, LSUN, any folder or zip of images."""
