"""Experiments: one folder per question; theory predicts, measure measures, run judges."""
