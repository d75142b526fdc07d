"""Running trained models: loading a run, reading text, decoding."""
