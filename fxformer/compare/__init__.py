"""One yardstick for runs of different objectives, at equal cost."""
