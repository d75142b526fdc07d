"""Statistical checks of objectives, maskings and noises: what must hold of their batches."""
