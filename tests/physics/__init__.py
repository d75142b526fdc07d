"""Tasks with known answers, and what must not change a number: the real configs, trained."""
