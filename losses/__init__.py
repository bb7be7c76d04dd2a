"""What is minimised: tensors to scalars."""
