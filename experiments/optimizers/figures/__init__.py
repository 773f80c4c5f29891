"""The figures of the experiment, drawn from a record alone: same record, same bytes."""
