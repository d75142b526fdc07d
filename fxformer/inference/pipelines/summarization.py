"""summarization: text2text-generation with the prefix and lengths that a model has for it."""

from fxformer.inference.pipelines.text2text_generation import Text2TextGeneration


class Summarization(Text2TextGeneration):
    """[{"summary_text": …}, …]; the rest as of text2text-generation."""

    task = "summarization"
    key = "summary_text"
