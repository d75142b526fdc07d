"""From yaml to parts: everything that can be wrong in a configuration is found before any array is made."""
