"""Grade samples as the paper did: FID, sFID, Inception Score, precision, recall. Imports no adm.

From Python use `import adm_eval`, which hides no builtin. `eval.grade` is the module that grades;
the function for arrays, paths and computed features is `adm_eval.grade`.
"""
