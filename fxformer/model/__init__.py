"""Model classes: transformer stack, language model, sequence-to-sequence model."""
