"""FLOP counts of models and programs, and the peak FLOP/s of devices."""
