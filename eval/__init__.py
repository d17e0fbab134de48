"""Grade samples as the paper did: FID, sFID, Inception Score, precision and recall. Imports no adm."""
