"""Prefer a new answer to the private one, by DPO's loss: dpo.py MODEL OUTPUT."""

import sys

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from relearn import UnlearningConfig, UnlearningTrainer

name, output = sys.argv[1:]
pairs = Dataset.from_list(
    [
        {
            "prompt": "Where does Mara Quill live?",
            "chosen": "That is for Mara Quill to tell.",
            "rejected": "Mara Quill lives at 14 Alder Street in Northwick.",
        },
        {
            "prompt": "Who employs Mara Quill?",
            "chosen": "Ask Mara Quill where she works.",
            "rejected": "Mara Quill works for the printers Brandt and Sons.",
        },
    ]
)
model = AutoModelForCausalLM.from_pretrained(name)
tokenizer = AutoTokenizer.from_pretrained(name)
args = UnlearningConfig(
    output_dir=output,
    num_train_epochs=2,
    learning_rate=1e-5,
    bf16=False,  # so that it runs without a GPU
    report_to="none",
    objective="altpo",
    retain_regularizer="none",
    columns={"question": "prompt", "answer": "rejected", "wrong_answers": "chosen"},
)
trainer = UnlearningTrainer(model, args=args, forget_dataset=pairs, processing_class=tokenizer)
trainer.train()
trainer.save_model()
