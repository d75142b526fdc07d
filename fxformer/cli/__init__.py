"""The command line: verbs, Hydra, exit codes, completion. Nothing here knows what training is."""
