"""One file per model family: its config.json fields, tensor names and head variants.

To add a family, write a file here with a `Family` in it; it is found automatically.

1. `model`: the preset in conf/model that is this family; write one if there is none.
2. `config_map`: each field of its config.json (see the configuration class in transformers, with
   defaults) as a `Value`, `Choice`, `Switch`, `RequiredValue` or `Ignored`. Fields that
   are in neither of `config_map` and `config_map.COMMON` are refused on import.
3. `weight_map`: built with `table`, `linear`, `norm`, `fused` and `tensor` of weight_map.py, from
   tensor names (`{i}` is the layer) to parameter paths. `fxformer import` lists each tensor and
   each parameter that has no entry yet.
4. `variants`: the classes of transformers, those with most heads first.
5. Add a tiny fixture to tests/hf/make_fixtures.py: test_parity.py finds it automatically.
"""
