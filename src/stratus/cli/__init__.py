"""The command line: `stratus`."""
