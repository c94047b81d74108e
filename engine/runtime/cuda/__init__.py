"""A Llama-shaped model's passes with static buffers: captured as graphs on a CUDA device, simply called elsewhere."""
