"""One file for each family: what its config.json and its tensors are called, and its heads.

To add one, write a file here with a `Family` in it; nothing else needs to know of it.

1. `model`: the yaml of conf/model that is this family; write it if there is none, as choices.
2. `fields`: each field of its config.json (the configuration class of transformers lists them with
   their defaults) as a `Knob`, a `Choice`, a `Switch`, an `Only` or `Silent`. What is in none of
   them, nor in `fields.COMMON`, is refused on import.
3. `names`: the name map, made of `table`, `linear`, `norm`, `fused` and `tensor` of names.py. It
   says what a tensor is called, `{i}` being the layer, and the path it has here; `fxformer import`
   names each tensor and each path that is still without a word.
4. `forms`: the classes of transformers it comes as, richest first.
5. Put a tiny fixture into tests/hf/make_fixtures.py: test_parity.py finds it by itself.
"""
