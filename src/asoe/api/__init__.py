"""The HTTP door: proves who calls, checks the permission table, decodes, calls the desk, encodes. It decides nothing else."""
