"""Most new tokens of a prompt: by the decoding settings, and by the length that the model reads."""

from fxformer.errors import UserError
from fxformer.inference.decoding.config import DEFAULT_NEW_TOKENS, GenerationConfig
from fxformer.inference.decoding.prompts import position_limit
from fxformer.inference.model_core import ModelCore

# where neither the call nor the model's files say it: after a prompt, and for a source
NEW_TOKENS = {"decoder": DEFAULT_NEW_TOKENS, "seq2seq": 256}


def new_token_limit(model: ModelCore, length: int, config: GenerationConfig, what: str) -> int:
    """Most tokens that are generated after a prompt, or for a source, of `length` tokens.

    what: name of the prompt, for messages
    Raises UserError where no token may follow, or more are asked for than the model has room for.
    """
    positions = position_limit(model.module)
    before = 1 if model.architecture == "seq2seq" else length
    room = None if positions is None else positions - before
    if room is not None and room < 1:
        raise UserError(_no_room(model, what, before, config.max_new_tokens))
    asked = config.max_new_tokens
    if asked is None and config.max_length is not None:
        asked = config.max_length - before
        if asked < 1:
            raise UserError(
                f"max_length={config.max_length} counts the prompt, and {what} has {before} "
                f"tokens: write max_new_tokens={DEFAULT_NEW_TOKENS}, or a larger max_length"
            )
    if asked is None:
        return min(NEW_TOKENS[model.architecture], room or NEW_TOKENS[model.architecture])
    if room is not None and asked > room:
        raise UserError(_no_room(model, what, before, asked))
    return asked


def _no_room(model: ModelCore, what: str, before: int, asked: int | None) -> str:
    """Why `before` tokens and `asked` new ones are more than the model reads."""
    positions = position_limit(model.module)
    assert positions is not None  # as there would be room otherwise
    room = positions - before
    advice = "" if asked is None or room < 1 else f"write max_new_tokens={room} or less"
    if model.architecture == "seq2seq":
        return f"{model.name} writes at most {room} tokens, not {asked}: {advice}"
    new = "" if asked is None else f" and {asked} new ones are asked for"
    less = max(1, before + (asked or 1) - positions)
    advice = [advice] if advice else []
    advice += [f"shorten it by {less} or more"] if less < before else []
    return (
        f"{what} has {before} tokens{new}, and {model.name} reads at most {positions}, those it "
        f"generates included: {', or '.join(advice)}"
    )
