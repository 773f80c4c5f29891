"""The parts of the experiment: what each measures, and the rule that judges it."""
