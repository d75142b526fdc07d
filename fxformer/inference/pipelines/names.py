"""Names of the tasks that pipelines answer. Imports nothing heavy."""

TASKS = {
    "fill-mask": "fill_mask:FillMask",
    "text-classification": "text_classification:TextClassification",
    "zero-shot-classification": "zero_shot_classification:ZeroShotClassification",
    "token-classification": "token_classification:TokenClassificationPipeline",
    "question-answering": "question_answering:QuestionAnsweringPipeline",
    "feature-extraction": "feature_extraction:FeatureExtraction",
    "text-generation": "text_generation:TextGeneration",
    "text2text-generation": "text2text_generation:Text2TextGeneration",
    "summarization": "summarization:Summarization",
    "translation": "translation:Translation",
}
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
