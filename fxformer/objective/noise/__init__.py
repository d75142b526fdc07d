"""Noises of denoising objectives, one per file; they compose in any order."""
