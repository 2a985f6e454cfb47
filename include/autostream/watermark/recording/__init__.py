"""The parts of the recorder: what it knows, its work on jobs, its work on tables."""
