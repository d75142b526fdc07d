"""From yaml to parts: what can be wrong in a config is found before any array is made."""
