"""The parts of the experiment: each measures, predicts and judges."""
