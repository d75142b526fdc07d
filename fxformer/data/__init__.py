"""Text becomes packed rows of token ids: corpus, tokenizer, store, packing, batches, loader."""
