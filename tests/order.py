"""The order of test files on several workers: those that take longest begin first."""

# Processor seconds of their quick tests, compiled for the first time, at 10 or more. Each worker
# begins with a run of neighbouring files, and one that is done takes half of what another has left:
# one of these at the end would leave the others without work.
LONGEST = (
    "tests/inference/test_model.py",
    "tests/distillation/test_training.py",
    "tests/model/test_invariances.py",
    "tests/e2e/test_extension_packages.py",
    "tests/warmstart/test_encoder_decoder.py",
    "tests/golden/test_golden.py",
    "tests/test_conf.py",
    "tests/evaluate/test_task_evaluation.py",
    "tests/objective/test_electra.py",
    "tests/e2e/test_interruptions.py",
    "tests/hf/test_parity.py",
    "tests/evaluate/test_compare.py",
    "tests/warmstart/test_layer_subset.py",
    "tests/model/test_inside.py",
    "tests/model/test_ngram.py",
    "tests/distillation/test_tasks.py",
    "tests/objective/test_training.py",
    "tests/e2e/test_accepted.py",
    "tests/hf/test_refusals.py",
    "tests/objective/test_audit.py",
    "tests/track/test_energy_report.py",
    "tests/dashboard/test_inspect_page.py",
    "tests/evaluate/audit/test_main.py",
    "tests/dashboard/test_playground.py",
    "tests/hf/test_two_tokenizers.py",
    "tests/dashboard/test_page.py",
    "tests/hf/test_export_answers.py",
    "tests/train/test_adapter.py",
    "tests/warmstart/test_initializer.py",
    "tests/e2e/test_foreign_runs.py",
    "tests/train/test_optim.py",
)
_RANK = {file: number for number, file in enumerate(LONGEST)}


def rank(name: str) -> int:
    """Where the file of a test stands in the order. name: pytest's node id"""
    return _RANK.get(name.partition("::")[0], len(_RANK))
