"""A folder for PYTHONPATH: the interpreter runs its `sitecustomize` before anything else."""
