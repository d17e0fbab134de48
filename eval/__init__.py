"""Grade samples as the paper did: FID, sFID, Inception Score, precision, recall. Imports no adm."""
