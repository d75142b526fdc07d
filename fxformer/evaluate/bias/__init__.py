"""Bias audits: preferences of a language model between sentences that differ in a social group."""
