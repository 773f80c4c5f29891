"""The pytest plugin, hypothesis strategies and drop-in replacements for the peers' gradient checks."""
