"""Time, memory and work of training steps, beside PyTorch's where that is installed."""
