"""Cost forecast of a run: parameters, FLOPs, memory, time, energy and CO2."""
