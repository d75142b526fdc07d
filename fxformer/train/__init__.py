"""Training: state, step, optimizers, schedules, mesh, checkpoints and the loop that joins them."""
