"""The noises of a denoising objective, a file each; they compose in any order."""
