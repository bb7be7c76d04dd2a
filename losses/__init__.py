"""What is minimized: tensors to scalars."""
