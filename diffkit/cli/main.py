"""Entry point of the command `diffkit`."""
