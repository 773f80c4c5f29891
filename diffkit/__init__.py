"""diffkit: a derivative is a claim that gets derived, proved or refuted, and put to work."""
