"""Images as they come: npz, zips, folders; checked before they are read."""
