"""The pytest plugin, hypothesis strategies and drop-ins for the peers' gradient checks."""
