"""Scaled dot-product attention, one function with several implementations (backends)."""
