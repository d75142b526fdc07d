"""Web dashboard of a folder of runs: served live, or written as a self-contained HTML report."""
