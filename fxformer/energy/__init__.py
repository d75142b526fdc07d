"""Energy: what a run costs, with provenance and an interval."""
