"""Training of the embedded models: corpora, chat-format tasks, tokenizer, pretraining.

Nothing else in the engine imports this package; it only ever writes model folders.
"""
