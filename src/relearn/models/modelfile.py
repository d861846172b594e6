"""Ollama's Modelfile: the exported model is asked as it was in every stage of the run."""

from relearn.base.errors import UserError
from relearn.data.tokenization import PromptFormat

# Stands for the question while a chat template is rendered; what Ollama puts there is its own.
_QUESTION = "QUESTIONGOESHERE"


def modelfile(prompts: PromptFormat, gguf_file: str) -> str:
    """Return the text of a Modelfile.

    The template is the prompt of one question, word for word, with its system message; greedy, as
    in the run's evaluation.

    Args:
        prompts: How the model is asked.
        gguf_file: Name of the file beside it.

    Raises:
        UserError: the prompt has what a Modelfile can't hold.
    """
    tokenizer = prompts.tokenizer
    before, _, after = prompts.prompt(_QUESTION).partition(_QUESTION)
    begin = tokenizer.bos_token
    if begin and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id:
        before = before.removeprefix(begin)  # Ollama puts it there
    if any(mark in before + after for mark in ('"""', "{{")):
        raise UserError(
            "the model's prompt has quotes or braces that a Modelfile can't hold.",
            "Write safetensors, or set model.prompt.template.",
        )
    stops = [tokenizer.decode([id_]) for id_ in prompts.end_tokens]
    return "\n".join(
        [
            f"FROM ./{gguf_file}",
            f'TEMPLATE """{before}{{{{ .Prompt }}}}{after}{{{{ .Response }}}}"""',
            *(f'PARAMETER stop "{stop}"' for stop in stops),
            "PARAMETER temperature 0",
            "",
        ]
    )
