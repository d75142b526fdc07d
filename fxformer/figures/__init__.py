"""Figures as vector files: shapes, SVG and PDF writers, interval plots. No plotting library."""
